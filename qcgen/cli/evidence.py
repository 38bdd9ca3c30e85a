"""Wires evidence: what shows why a check speaks of a picture, made where it is missing."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qcgen.cli.console import warn
from qcgen.core.errors import PrerequisiteError, QcgenError
from qcgen.core.evidence import Record, keep_only, missing_evidence, read_record
from qcgen.core.job import JobSpec
from qcgen.core.store import Store
from qcgen.core.types import Outcome, Row, RunInfo
from qcgen.core.wording import file_name, part_of, several

if TYPE_CHECKING:
    from torch import Tensor

    from qcgen.pipeline.evidence import Doubtful
    from qcgen.pipeline.score import Scored
    from qcgen.qc.inspect import Inspector
    from qcgen.qc.policy import Policy


MOST_SHOWN = 60
"""Pictures on the page of `qcgen score --out`; its tables have all."""


def explain_run(store: Store, run: RunInfo, inspector: Callable[[], "Inspector"]) -> None:
    """Make what evidence a run's doubtful pictures lack; what goes wrong is told on stderr and fails nothing.

    Args:
        inspector: called only where something is missing.
    """
    folder = Path(run.out_dir)
    rows = missing_evidence(store.rows(run.run_id), folder)
    if not rows:
        return
    from qcgen.pipeline.evidence import explain_rows

    try:
        done = explain_rows(rows, folder, inspector(), _finder(store, run, rows))
    except QcgenError as error:
        warn([f"evidence: none was made for {several(len(rows), 'doubtful picture')}. {error}"])
        return
    warn([done.warning] if done.warning else [])


def complete_evidence(store: Store, run: RunInfo, profile: str | None = None) -> None:
    """As `explain_run`, with the encoder of the run's job and its profile, unless another one judged it."""

    def inspector() -> "Inspector":
        from qcgen.cli.wiring import prepare_torch
        from qcgen.models.embedded import load_encoder
        from qcgen.qc.inspect import Inspector
        from qcgen.qc.policy import read_policy

        prepare_torch()
        qc = JobSpec.model_validate_json(run.spec_json).qc
        try:
            policy = read_policy(profile or qc.profile, allow_stale=True)
        except PrerequisiteError:
            # What the teacher would show is missed; the other evidence is not.
            policy = read_policy(profile or qc.profile, allow_stale=True, with_teacher=False)
        return Inspector(policy, load_encoder(qc.clip.model), _vocabulary(store, run))

    explain_run(store, run, inspector)


def explain_scored(
    scored: Sequence["Scored"],
    folder: Path,
    policy: "Policy",
    inspector: Callable[[], "Inspector"],
    *,
    pixels: int,
    screen: int = 0,
) -> dict[Path, Record]:
    """Evidence of the doubtful files into the folder of their report, and the records by path; each has its picture.

    What goes wrong is told on stderr and fails nothing.

    Args:
        pixels: the most that a picture may have.
        screen: the short side to which they were shrunk, or 0.
    """
    doubtful = [_doubtful(one) for one in scored if one.verdict.outcome in (Outcome.REVIEW, Outcome.REJECT)][
        :MOST_SHOWN
    ]
    keep_only(folder, {one.image_id for one in doubtful})
    if not doubtful:
        return {}
    from qcgen.data.decoder import Decoded, Decoder, Limits
    from qcgen.pipeline.evidence import explain_files

    with Decoder(Limits(pixels=pixels), policy.background, least_side=screen) as decoder:

        def read(path: Path) -> "Tensor":
            found = next(decoder.read([path]))
            if not isinstance(found, Decoded):
                raise ValueError(found.reason)
            return found.image

        done = explain_files(doubtful, folder, inspector(), Path, read=read, again="the same command again")
        warn([done.warning] if done.warning else [])
        records = {one.path: record for one in doubtful if (record := read_record(folder, one.image_id)) is not None}
        return _with_pictures(records, folder, read)


def _with_pictures(records: dict[Path, Record], folder: Path, read: "Callable[[Path], Tensor]") -> dict[Path, Record]:
    """The records whose picture lies beside them."""
    from qcgen.pipeline.evidence import keep_picture

    kept: dict[Path, Record] = {}
    for path, record in records.items():
        try:
            keep_picture(record, read(path), folder)
        except (OSError, ValueError) as error:
            rest = part_of(len(records) - len(kept), len(records), "doubtful picture", "is", "are") + " not shown"
            told = f"evidence: {rest}; the first: {file_name(path)} ({getattr(error, 'strerror', None) or error})."
            warn([f"{told} The verdicts stand. Cure: put the file back or free space, then the same command again."])
            break
        kept[path] = record
    return kept


def _doubtful(one: "Scored") -> "Doubtful":
    from qcgen.pipeline.evidence import Doubtful

    # Two paths with the same bytes are two files: one of them repeats the other.
    named = hashlib.sha256(f"{one.sha256}\0{one.subject.path}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return Doubtful(named, one.subject.path, one.subject.prompt, one.subject.fields, one.verdict.reasons, one.sha256)


def _finder(store: Store, run: RunInfo, rows: Sequence[Row]) -> Callable[[str], Path | None]:
    """Where the pictures lie that these rows' findings name."""
    named = {finding.evidence.get("neighbour") for row in rows for finding in row.reasons} - {None}
    folder = Path(run.out_dir)
    found: dict[str, Path] = {}
    if named:
        found = {
            row.image_id: folder / row.relpath
            for row in store.rows(run.run_id)
            if row.image_id in named and row.relpath is not None
        }
    return found.get


def _vocabulary(store: Store, run: RunInfo) -> dict[str, tuple[str, ...]]:
    """Every value that the run's items have, field by field, in their order."""
    values: dict[str, dict[str, None]] = {}
    for row in store.rows(run.run_id):
        for name, text in row.fields.items():
            values.setdefault(name, {})[text] = None
    return {name: tuple(texts) for name, texts in values.items()}
