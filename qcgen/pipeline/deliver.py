"""A delivery: what may go out of a run, by SKU, with a manifest and sums; whole under its name, or not there.

What goes out: pictures that the policy accepted and no person refused, and those that people accepted. What never does:
seeds, which no row knows, pictures that people refused or disagree on, and flagged ones that nobody has accepted.
"""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from qcgen.core.errors import BlockedError, IntegrityError, SpecError
from qcgen.core.job import JobSpec
from qcgen.core.reasoncodes import is_critical
from qcgen.core.review import Filter, Kind, State
from qcgen.core.store import Store
from qcgen.core.types import Outcome, Row, RunInfo, Severity
from qcgen.core.wording import several
from qcgen.generate.write import explain, slug, sync_folders, write_file
from qcgen.pipeline.batchgates import judge_sample, plan_of, sample_of, survey_run
from qcgen.pipeline.gates import refuse_red
from qcgen.pipeline.hold import hold_folder
from qcgen.pipeline.reviewplan import candidate

MANIFEST, LEFT_OUT, SUMS = "manifest.csv", "left_out.csv", "SHA256SUMS"
MANIFEST_COLUMNS = (
    "path", "sku", "image_id", "run_id", "prompt", "seed", "attempt", "width", "height", "bytes", "sha256", "verdict",
    "accepted_by",
)  # fmt: skip
LEFT_OUT_COLUMNS = ("image_id", "sku", "reason")
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
Cell = str | int | None
MakeCsv = Callable[[Sequence[str], Iterable[Sequence[Cell]]], bytes]
"""A table of columns and rows as the bytes of a CSV file that a spreadsheet opens without running anything."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What went out. `sums_sha256` is of SHA256SUMS, which names every file."""

    path: Path
    files: int
    bytes: int
    left_out: int
    sums_sha256: str


@dataclass(slots=True)
class Selection:
    """Rows that go out, and why each other one stays; `waiting` are critical flagged ones that nobody has decided."""

    chosen: list[Row] = field(default_factory=list)
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    disputed: int = 0
    waiting: int = 0


_ARCHIVES = frozenset({".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"})
"""Whoever names one of these expects a file, and would get a folder."""


class Box(Protocol):
    """Where files are put: a folder or an archive."""

    def put(self, path: str, data: bytes) -> None: ...

    def close(self) -> None:
        """Everything is durable when this returns."""
        ...


def deliver(
    run: RunInfo, store: Store, to: Path, *, only_accepted: bool, make_csv: MakeCsv, say: Callable[[str], None]
) -> Delivery:
    """Copy what may go out to a new folder, or to a new archive if the name ends in `.zip`.

    A folder that was interrupted goes on where it stopped; an archive is begun anew.

    Args:
        only_accepted: leave out what is undecided, rather than refuse because of it.

    Raises:
        BlockedError: a gate is red, the run is not complete, or people have not decided what they must.
        IntegrityError: a picture is missing, or is not the one that was recorded.
        PausedError: the disk is full, or another process delivers to the same place.
        SpecError: the target exists, or there is nothing to deliver.
    """
    if to.suffix != ".zip" and to.suffix.lower() in _ARCHIVES:
        bare = to
        while bare.suffix.lower() in _ARCHIVES:
            bare = bare.with_suffix("")
        raise SpecError(f"--to: must be a folder, or end in .zip (got {to.name}). Cure: {bare.name}.zip.")
    refuse_unfit(run, store)
    to = to.absolute()
    if to.exists() and not (to.is_dir() and to.suffix != ".zip" and not any(to.iterdir())):
        raise SpecError(f"--to: must not exist yet (got {to}). Cure: another name; a delivery is never overwritten.")
    selected = select(run, store)
    if not only_accepted:
        _refuse_undecided(run, selected)
    if not selected.chosen:
        raise SpecError(f"RUN: nothing of run {run.run_id} may be delivered. Cure: qcgen review, then export again.")
    space = to.with_name(f".{to.name}.part")
    with hold_folder(space, key="--to", say=say):
        with _box(to, space) as (box, built):
            made = _fill(run, selected, box, make_csv)
        body = {"to": to.name, "files": str(made.files), "bytes": str(made.bytes), "sums_sha256": made.sums_sha256}
        # Before the rename: a delivery that nobody recorded is worse than a record of one that was cut off.
        store.audit(run.run_id, "run.export", body)
        built.rename(to)
        sync_folders([to.parent])
        shutil.rmtree(space, ignore_errors=True)
    return Delivery(to, made.files, made.bytes, len(selected.left_out), made.sums_sha256)


def refuse_unfit(run: RunInfo, store: Store) -> None:
    """Raises BlockedError for a run that is not complete, or one with a red gate, by the decisions there are now."""
    if run.status != "complete":
        raise BlockedError(
            f"run {run.run_id} is {run.status}, so that no gate has judged it. Cure: qcgen run {run.job_path}"
        )
    refuse_red(run)
    job = JobSpec.model_validate_json(run.spec_json)
    if job.qc.gate.sampling is not None:
        seen = survey_run(store, run.run_id)
        drawn = sample_of(run.run_id, seen, job.qc.gate, job.review)
        found = judge_sample(seen, drawn, plan_of(job.qc.gate, len(seen.passed)))
        if found.severity is Severity.BLOCK:
            raise BlockedError(f"run {run.run_id}: {found.message} Cure: mend the cause and run again.")


def select(run: RunInfo, store: Store) -> Selection:
    """Every standing row, in item order, goes out or is left out with a reason."""
    open_disputes = _open_disputes(store, run.run_id)
    found = Selection()
    for row in store.rows(run.run_id):
        why = _why_not(row, row.image_id in open_disputes)
        if why is None:
            found.chosen.append(row)
            continue
        found.left_out.append((row.image_id, row.sku, why))
        found.disputed += why == "people disagree"
        one = candidate(row, asked_for=False)
        found.waiting += why == "undecided" and one is not None and is_critical(one.code)
    return found


def _why_not(row: Row, disputed: bool) -> str | None:
    if row.relpath is None or row.outcome is Outcome.FAILED:
        return "no picture"
    if disputed:
        return "people disagree"
    if row.decision is not None:
        return None if row.decision == Outcome.ACCEPT else "refused by people"
    return {Outcome.ACCEPT: None, Outcome.REVIEW: "undecided"}.get(row.outcome, "rejected by the checks")


def _open_disputes(store: Store, run_id: str) -> set[str]:
    found: set[str] = set()
    after = 0
    only = Filter(kind=Kind.DISPUTE, state=State.OPEN)
    while page := store.review.tasks(run_id, only=only, after=after, limit=2_000):
        found |= {one.image_id for one in page}
        after = page[-1].id
    return found


def _refuse_undecided(run: RunInfo, selected: Selection) -> None:
    told = [
        f"{several(count, one)} {what}"
        for count, one, what in (
            (selected.disputed, "picture", "on which people disagree"),
            (selected.waiting, "flagged picture", "with a critical reason that nobody has decided"),
        )
        if count
    ]
    if told:
        raise BlockedError(
            f"run {run.run_id}: {' and '.join(told)}. Cure: qcgen review, or --only accepted, which leaves them out."
        )


@dataclass(frozen=True, slots=True)
class _Made:
    files: int
    bytes: int
    sums_sha256: str


def _fill(run: RunInfo, selected: Selection, box: Box, make_csv: MakeCsv) -> _Made:
    sums: list[str] = []
    manifest: list[Sequence[Cell]] = []
    total = 0

    def put(path: str, data: bytes) -> None:
        box.put(path, data)
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {path}\n")

    for row in selected.chosen:
        path, data = _place(row), _read(Path(run.out_dir), row)
        put(path, data)
        total += len(data)
        manifest.append(_manifest_row(run, row, path, len(data)))
    put(MANIFEST, make_csv(MANIFEST_COLUMNS, manifest))
    put(LEFT_OUT, make_csv(LEFT_OUT_COLUMNS, selected.left_out))
    text = "".join(sums).encode("ascii")
    box.put(SUMS, text)
    box.close()
    return _Made(len(manifest), total, hashlib.sha256(text).hexdigest())


def _manifest_row(run: RunInfo, row: Row, path: str, size: int) -> Sequence[Cell]:
    by = "people" if row.decision == Outcome.ACCEPT else "policy"
    return (
        path, row.sku, row.image_id, run.run_id, row.prompt, row.seed, row.attempt, row.width, row.height, size,
        row.file_sha256, str(row.outcome), by,
    )  # fmt: skip


def _place(row: Row) -> str:
    """Made from the row's own values, so that no stored path can lead out of the delivery."""
    suffix = PurePosixPath(row.relpath or "").suffix
    ending = suffix if suffix[1:].isalnum() and suffix.isascii() else ""
    return f"{slug(row.sku)}/{row.item_index:06d}-{row.seed}{ending}"


def _read(out_dir: Path, row: Row) -> bytes:
    """The picture's bytes, if they are what was recorded."""
    path = out_dir / str(row.relpath)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(
            f"{path}: cannot be read ({error.strerror}). Cure: qcgen run the job again; it makes lost pictures anew."
        ) from error
    if hashlib.sha256(data).hexdigest() != row.file_sha256:
        raise IntegrityError(
            f"{path}: is not the picture that was recorded. Cure: restore it, or remove it and run again."
        )
    return data


@contextmanager
def _box(to: Path, space: Path) -> Iterator[tuple[Box, Path]]:
    """Where the delivery is built, and what is renamed when it is whole."""
    if to.suffix == ".zip":
        built = space / "content.zip"
        try:
            archive = Archive(built)
            try:
                yield archive, built
            finally:
                archive.abandon()
        except OSError as error:
            raise explain(error, to, key="--to") from error
        return
    built = space / "content"
    yield Folder(built), built


class Folder:
    """Files below a folder; one that is there already with the same bytes is kept, and any other file goes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._put: set[Path] = set()

    def put(self, path: str, data: bytes) -> None:
        target = self._root / path
        self._put.add(target)
        if not (target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data):
            write_file(target, data)

    def close(self) -> None:
        for left in [path for path in self._root.rglob("*") if path.is_file() and path not in self._put]:
            left.unlink()
        folders = {path.parent for path in self._put}
        for empty in [path for path in self._root.iterdir() if path.is_dir() and path not in folders]:
            shutil.rmtree(empty)
        sync_folders({*folders, self._root, self._root.parent})


class Archive:
    """A ZIP with the pictures as they are: they are compressed already. The same content gives the same bytes."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)

    def put(self, path: str, data: bytes) -> None:
        info = zipfile.ZipInfo(path, _ZIP_TIME)
        info.external_attr = 0o644 << 16
        self._zip.writestr(info, data)

    def close(self) -> None:
        self._zip.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Let go of a file that will not be finished; nothing to do after `close`."""
        # The disk may be full: the error that matters is on its way.
        with suppress(OSError):
            self._zip.close()
        with suppress(OSError):
            self._file.close()
