"""What shows why a check speaks of a picture: values without tensors, and the files that keep them.

A run's folder holds `evidence/ID.json` for each flagged or rejected picture and `evidence/ID-REASON.png` for each map.
They are derived: deleting them loses nothing but the time to make them again.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from qcgen.core.types import Finding, Outcome, Row

EVIDENCE = "evidence"
"""The folder, inside the run's."""
MOST_REASONS = 3
"""Of each picture, strongest first: a person decides by one or two."""
_FORM = 1
_ID = re.compile(r"[0-9a-f]{16,64}")
_PNG = r"^[0-9a-f]{16,64}-[a-z0-9_]+\.png$"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in shares of the picture's sides, from the upper left."""

    left: float
    top: float
    right: float
    bottom: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, a y for each x."""

    label: str
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart. Axis names carry their units; `marks` are places on the x axis that the number comes from.

    Attributes:
        filled: a histogram, one bar an x.
    """

    x: tuple[float, ...]
    lines: tuple[Line, ...]
    x_axis: str
    y_axis: str
    marks: tuple[float, ...] = ()
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One of several values that are compared; `own` is what was asked for."""

    label: str
    value: float
    own: bool = False


@dataclass(frozen=True, slots=True)
class Swatch:
    label: str
    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]


@dataclass(frozen=True, slots=True)
class Scale:
    """What a map's colours stand for, the same for every picture: none up to `low`, the strongest from `high` on."""

    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One reason with what shows it.

    Attributes:
        kind: the reason code.
        message: the finding's sentence.
        says: how to read what is shown.
        overlay: a file beside this one: a picture to lay over, transparent where nothing is marked.
        companion: a file beside this one: another picture, such as the one that this one repeats.
        facts: name and value.
        neighbours: ids of pictures that the number compares with.
    """

    kind: str
    message: str
    value: float | None
    limit: float | None
    unit: str
    says: str
    scale: Scale | None = None
    overlay: Annotated[str, Field(pattern=_PNG)] | None = None
    companion: Annotated[str, Field(pattern=_PNG)] | None = None
    curve: Curve | None = None
    bars: tuple[Bar, ...] = ()
    boxes: tuple[Box, ...] = ()
    swatches: tuple[Swatch, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """All that is shown of one picture; `key` names the pixels and the findings that it was made from."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    image_id: str
    key: str
    reasons: tuple[Shown, ...]


_ADAPTER = TypeAdapter(Record)


def evidence_key(file_sha256: str | None, findings: Sequence[Finding]) -> str:
    """Changes with the pixels, with what was found, and with the form of these files."""
    told = [[one.kind, str(one.severity), one.message, dict(one.evidence)] for one in findings]
    text = json.dumps([_FORM, file_sha256, told], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def needs_evidence(row: Row) -> bool:
    """Whether it is a stored picture that a check speaks against."""
    doubtful = row.outcome in (Outcome.REVIEW, Outcome.REJECT)
    return doubtful and row.relpath is not None and bool(row.reasons) and is_safe(row.image_id)


def is_safe(image_id: str) -> bool:
    """Whether the id can be a file's name: hex digits only."""
    return _ID.fullmatch(image_id) is not None


def evidence_file(folder: Path, image_id: str) -> Path:
    """Where a picture's record lies; `folder` is the run's."""
    return folder / EVIDENCE / f"{image_id}.json"


def picture_of(record: Record) -> str:
    """Where a report of foreign files keeps a small picture of its own, relative to the report."""
    return f"{EVIDENCE}/{record.image_id}-picture.png"


def write_record(record: Record) -> str:
    """As JSON text; raises ValueError for a number that is not finite."""
    return json.dumps(asdict(record), allow_nan=False, ensure_ascii=True, separators=(",", ":")) + "\n"


def read_record(folder: Path, image_id: str) -> Record | None:
    """What is shown of a picture; None where there is nothing, or nothing that is whole."""
    if not is_safe(image_id):
        return None
    try:
        record = _ADAPTER.validate_json(evidence_file(folder, image_id).read_bytes())
    except (OSError, ValidationError):
        return None
    return record if record.image_id == image_id else None


def evidence_of(folder: Path, row: Row) -> Record | None:
    """The record of a doubtful row if it is there and is about the row's pixels and findings."""
    record = read_record(folder, row.image_id) if needs_evidence(row) else None
    return record if record is not None and record.key == evidence_key(row.file_sha256, row.reasons) else None


def missing_evidence(rows: Iterable[Row], folder: Path) -> list[Row]:
    """The rows that should have a record and have none, without their thumbnails; records of others are deleted."""
    doubtful = [replace(row, thumbnail=None) for row in rows if needs_evidence(row)]
    keep_only(folder, {row.image_id for row in doubtful})
    return [row for row in doubtful if evidence_of(folder, row) is None]


def keep_only(folder: Path, kept: set[str]) -> None:
    """Delete other pictures' files: a map would speak still against a picture that another policy accepts."""
    for path in list((folder / EVIDENCE).glob("*")):
        if is_safe(path.stem.partition("-")[0]) and path.stem.partition("-")[0] not in kept:
            with suppress(OSError):
                path.unlink()
