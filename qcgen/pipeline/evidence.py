"""Evidence for what was flagged or rejected, from the saved files: what a person looks at instead of a number alone.

Derived data: made after the verdicts, missing files are made by the next report, and nothing that goes wrong here fails
a run.
"""

import errno
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.core.evidence import (
    EVIDENCE,
    MOST_REASONS,
    Record,
    Shown,
    evidence_file,
    evidence_key,
    picture_of,
    write_record,
)
from qcgen.core.types import Finding, Row, Severity
from qcgen.core.wording import part_of
from qcgen.qc.evidence import Evidence, Explainer
from qcgen.qc.inspect import Inspector
from qcgen.qc.overlay import draw_overlay
from qcgen.qc.protocol import Batch
from qcgen.qc.registry import find_detectors

_MOST_PIXELS = 50_000_000
_NEIGHBOUR_PX = 128
_FORMATS = ("PNG", "WEBP", "JPEG")
_NO_USE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES})
"""The next picture would meet the same."""
_DUPLICATES = ("exact_duplicate", "near_duplicate")
_REPEATS = {
    "mirrored": "Beside it: the picture whose mirror image it is, which came first.",
    "shifted": "Beside it: the picture that it repeats, moved, which came first.",
    "mirrored, shifted": "Beside it: the picture whose mirror image it is, moved, which came first.",
}
"""What `evidence["relation"]` of a near duplicate shows."""

Read = Callable[[Path], Tensor]
"""A picture file's RGB codes, `3 h w`."""
Find = Callable[[str], Path | None]
"""The file of a picture's id, None where it is not known."""


@dataclass(frozen=True, slots=True)
class Explained:
    """How many records were made, and the first thing that went wrong, with its cure."""

    made: int
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A picture file with what was found of it."""

    image_id: str
    path: Path
    prompt: str
    fields: Mapping[str, str]
    findings: tuple[Finding, ...]
    file_sha256: str | None


def explain_rows(rows: Sequence[Row], folder: Path, inspector: Inspector, find: Find) -> Explained:
    """Write the evidence of a run's rows into its folder."""
    root = folder.resolve()
    doubtful = [
        Doubtful(row.image_id, path, row.prompt, row.fields, row.reasons, row.file_sha256)
        for row in rows
        if row.relpath is not None and (path := (root / row.relpath).resolve()).is_relative_to(root)
    ]
    return explain_files(doubtful, root, inspector, find)


def explain_files(
    doubtful: Sequence[Doubtful],
    folder: Path,
    inspector: Inspector,
    find: Find,
    *,
    read: Read | None = None,
    again: str = "qcgen report RUN",
) -> Explained:
    """Write the evidence of picture files into `folder`/evidence; stops where the disk is full.

    Args:
        read: opens a picture file; by default only what a run writes. It raises ValueError or OSError.
        again: the command that makes what is missing, for the warning.
    """
    read = read or _read
    made, lost = 0, list[str]()
    for one in doubtful:
        try:
            _write(one, folder, inspector, find, read)
            made += 1
        except OSError as error:
            lost.append(f"{error.filename or one.path}: {error.strerror or error}")
            if error.errno in _NO_USE:
                break
        except Exception as error:  # a courtesy: no fault in a detector's own drawing may cost a night's report
            lost.append(f"{one.path}: {error}")
    return Explained(made, _warning(made, len(doubtful), lost, again))


def _warning(made: int, wanted: int, lost: Sequence[str], again: str) -> str | None:
    if not lost:
        return None
    return (
        f"evidence: {part_of(wanted - made, wanted, 'doubtful picture', 'has', 'have')} none; the first: {lost[0]}. "
        "The verdicts stand. "
        f"Cure: put the file back or free space, then {again}."
    )


def _write(one: Doubtful, folder: Path, inspector: Inspector, find: Find, read: Read) -> None:
    """The maps first, so that a record never names one that is not there."""
    batch = inspector.batch(read(one.path)[None], [one.prompt], [one.fields])
    (folder / EVIDENCE).mkdir(parents=True, exist_ok=True)
    shown: list[Shown] = []
    for finding in one.findings:
        found = _show(one, finding, batch, folder, find, read) if len(shown) < MOST_REASONS else None
        shown += [] if found is None else [found]
    record = Record(one.image_id, evidence_key(one.file_sha256, one.findings), tuple(shown))
    _replace(evidence_file(folder, one.image_id), write_record(record).encode("ascii"))


def _show(one: Doubtful, finding: Finding, batch: Batch, folder: Path, find: Find, read: Read) -> Shown | None:
    """What one finding shows; None where it has nothing to show."""
    if finding.severity is Severity.INFO:
        return None
    if finding.kind in _DUPLICATES:
        return _show_neighbour(one, finding, folder, find, read)
    detector = find_detectors().get(finding.kind)
    if not isinstance(detector, Explainer):
        return None
    with torch.inference_mode():
        scores = detector.score(batch)
        if scores.reasons[0] is not None:
            return None
        evidence = detector.explain(batch, 0)
    told = _shown(finding, evidence, detector.unit)
    told = _with_note(told, finding, float(scores.values[0]), detector.range)
    height, width = batch.images.shape[-2:]
    overlay = draw_overlay(evidence, height=height, width=width)
    return told if overlay is None else replace(told, overlay=_keep(one, finding.kind, overlay, folder))


def _shown(finding: Finding, evidence: Evidence, unit: str) -> Shown:
    return Shown(
        kind=finding.kind,
        message=finding.message,
        value=finding.value,
        limit=finding.threshold,
        unit=unit,
        says=evidence.says,
        scale=None if evidence.heat is None else evidence.heat.scale,
        curve=evidence.curve,
        bars=evidence.bars,
        boxes=evidence.boxes,
        swatches=evidence.swatches,
        facts=evidence.facts,
        neighbours=evidence.neighbours,
    )


def _with_note(told: Shown, finding: Finding, value: float, limits: tuple[float, float]) -> Shown:
    """Says so where the file does not hold the pixels that were judged, as after a lossy format."""
    if finding.value is None or abs(value - finding.value) <= 0.01 * max(abs(finding.value), 0.01 * _span(limits)):
        return told
    return replace(told, facts=(*told.facts, ("in the saved file", f"{value:.4g} {told.unit}")))


def _span(limits: tuple[float, float]) -> float:
    return limits[1] - limits[0]


def _show_neighbour(one: Doubtful, finding: Finding, folder: Path, find: Find, read: Read) -> Shown:
    """The picture that this one repeats, beside it."""
    neighbour = finding.evidence.get("neighbour", "")
    path, relation = find(neighbour), finding.evidence.get("relation", "")
    told = Shown(
        kind=finding.kind,
        message=finding.message,
        value=finding.value,
        limit=finding.threshold,
        unit="" if finding.value is None else "agreement" if relation else "bits",
        says=_REPEATS.get(relation, "Beside it: the picture that it repeats, which came first."),
        neighbours=(neighbour,) if neighbour else (),
    )
    if path is None:
        return told
    return replace(told, companion=_keep(one, f"{finding.kind}_of", _shrunk(read(path)), folder))


def keep_picture(record: Record, image: UInt8[Tensor, "3 h w"], folder: Path) -> None:
    """A small copy for a report of foreign files; OSError where it cannot be written."""
    _replace(folder / picture_of(record), _shrunk(image))


def _keep(one: Doubtful, what: str, data: bytes, folder: Path) -> str:
    name = f"{one.image_id}-{what}.png"
    _replace(folder / EVIDENCE / name, data)
    return name


def _replace(path: Path, data: bytes) -> None:
    """Whole or absent; not synced to the disk, because it can be made again."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def _read(path: Path) -> UInt8[Tensor, "3 h w"]:
    with PIL.Image.open(path, formats=_FORMATS) as picture:
        if picture.width * picture.height > _MOST_PIXELS:
            raise ValueError(f"{picture.width}x{picture.height} pixels")
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()


def _shrunk(image: UInt8[Tensor, "3 h w"]) -> bytes:
    """A small PNG of a picture."""
    small = PIL.Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    small.thumbnail((_NEIGHBOUR_PX, _NEIGHBOUR_PX))
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()
