"""What makes a second start continue the first: the run's identity and the check of the disk."""

import hashlib
import json
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qcgen.core.errors import SpecError
from qcgen.core.expand import Expansion, describe_changes
from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import RunInfo, Shard
from qcgen.generate.write import IMAGES, PART, place

ITEMS_DIGEST = "items_digest"
"""Key of `RunInfo.environment`."""
_RECIPE_LENGTH = 24


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a run is.

    Attributes:
        run_id: 32 hex digits: 24 of the recipe, 8 of the output folder.
        recipe: the 24 digits that define every byte of the pictures: job, items, model, policy; not where they are
            put. It is what the files carry, so the same job in another folder gives the same files; as a prefix it
            finds the run.
        spec_json: the whole job, canonical.
        spec_sha256: digest of the job without `output.dir`.
    """

    run_id: str
    recipe: str
    spec_json: str
    spec_sha256: str


def identify(
    job: JobSpec, *, items_digest: str, planned: int, model_digest: str, policy_sha256: str, out_dir: Path
) -> Identity:
    spec_json = _canonical(job.model_dump(mode="json"))
    spec_sha256 = _sha256(without_folder(spec_json))
    parts = [job.name, spec_sha256, items_digest, planned, model_digest, policy_sha256]
    recipe = _sha256(_canonical(parts))[:_RECIPE_LENGTH]
    return Identity(recipe + _sha256(str(out_dir))[: 32 - _RECIPE_LENGTH], recipe, spec_json, spec_sha256)


def refuse_changes(store: Store, run: RunInfo) -> None:
    """Stop when the output folder holds a run that is not this one.

    Raises:
        SpecError: one mistake, with every changed field.
    """
    earlier = next((past for past in store.runs() if past.out_dir == run.out_dir), None)
    if earlier is None or earlier.run_id == run.run_id:
        return
    cure = "Cure: another output.dir (or --out) for the changed job, or undo the change to resume"
    if earlier.name != run.name:
        raise SpecError(
            f"output.dir: {run.out_dir} holds run {earlier.run_id} of job {earlier.name!r}. {cure} that one."
        )
    changes = list(describe_changes(without_folder(earlier.spec_json), without_folder(run.spec_json)))
    old, new = earlier.environment.get(ITEMS_DIGEST, "?"), run.environment[ITEMS_DIGEST]
    if old != new:
        changes.append(f"items: the expanded items differ (digest {old[:12]} -> {new[:12]})")
    for name in ("planned", "model", "model_digest", "policy_sha256"):
        before, after = getattr(earlier, name), getattr(run, name)
        if before != after:
            changes.append(f"{name}: {before} -> {after}")
    held = f"output.dir: {run.out_dir} holds run {earlier.run_id} of job {run.name!r}"
    raise SpecError(f"{held}, and the job has changed since ({'; '.join(changes)}). {cure}.")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the check at the start did: shards opened again because files were lost, and left-over files removed."""

    reopened: tuple[int, ...]
    removed: tuple[str, ...]


def reconcile(
    store: Store,
    run_id: str,
    out_dir: Path,
    *,
    expansion: Expansion,
    shards: Sequence[Shard],
    image_format: str,
    max_attempts: int,
) -> Reconciled:
    """Make folder and database agree: every recorded file is there with its size, no file of this job unrecorded.

    Files that this job cannot have made are left alone. An attempt that a person asked for can lie beyond
    `max_attempts`.
    """
    max_attempts = max([max_attempts, *(one.attempt for one in store.review.regenerations(run_id))])
    found = _scan(out_dir / IMAGES)
    removed = sorted(relpath for relpath in found if relpath.endswith(PART))
    recorded: dict[str, int] = {}
    lost: set[int] = set()
    shard_of = _find_shard(shards)
    for row in store.rows(run_id, every_attempt=True):
        if row.relpath is None:
            continue
        recorded[row.relpath] = shard_of(row.item_index)
        if found.get(row.relpath) != row.bytes:
            lost.add(recorded[row.relpath])
    for number in sorted(lost):
        store.reopen(run_id, number)
    kept = {relpath for relpath, number in recorded.items() if number not in lost}
    removed += sorted(
        relpath
        for relpath in found.keys() - kept - set(removed)
        if _is_ours(relpath, expansion, image_format=image_format, max_attempts=max_attempts)
    )
    for relpath in removed:
        (out_dir / relpath).unlink(missing_ok=True)
    return Reconciled(tuple(sorted(lost)), tuple(removed))


def without_folder(spec_json: str) -> str:
    """The job's JSON less `output.dir`, which says where files go and nothing about them."""
    spec = json.loads(spec_json)
    spec["output"].pop("dir", None)
    return _canonical(spec)


def _scan(folder: Path) -> dict[str, int]:
    """Sizes of all files below `folder`, by their path as the store keeps it."""
    found: dict[str, int] = {}
    if not folder.is_dir():
        return found
    for directory in (entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)):
        for file in os.scandir(directory.path):
            if file.is_file(follow_symlinks=False):
                found[f"{IMAGES}/{directory.name}/{file.name}"] = file.stat().st_size
    return found


def _is_ours(relpath: str, expansion: Expansion, *, image_format: str, max_attempts: int) -> bool:
    match = re.fullmatch(r"(\d+)-\d+\.\w+", relpath.rpartition("/")[2])
    if match is None or int(match[1]) >= len(expansion):
        return False
    tries = (expansion.item(int(match[1]), attempt) for attempt in range(1, max_attempts + 1))
    return any(place(item, image_format) == relpath for item in tries)


def _find_shard(shards: Sequence[Shard]) -> Callable[[int], int]:
    starts = [shard.start for shard in shards]

    def find(index: int) -> int:
        return shards[bisect_right(starts, index) - 1].number

    return find


def _canonical(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
