"""What shows why a picture is doubtful, read for pages: paths and facts, no pixels and no torch."""

from pathlib import Path

from qcgen.core.evidence import EVIDENCE, Record, Shown, evidence_of
from qcgen.core.types import Row


def read_evidence(folder: Path, row: Row) -> Record | None:
    """What is shown of a row, strongest reason first; None where there is nothing.

    Args:
        folder: the run's, that `Row.relpath` is relative to.
    """
    return evidence_of(folder, row)


def overlay_of(folder: Path, row: Row) -> str | None:
    """Address of the strongest reason's map, relative to the run's folder; to be laid over the picture's whole area."""
    record = evidence_of(folder, row)
    found = next((one.overlay for one in record.reasons if one.overlay), None) if record else None
    return None if found is None else beside(found)


def beside(name: str) -> str:
    """Address of a record's file, relative to the run's folder."""
    return f"{EVIDENCE}/{name}"


def facts_of(shown: Shown) -> tuple[tuple[str, str], ...]:
    """A reason's numbers as name and text."""
    numbers = (("value", shown.value), ("limit", shown.limit))
    told = tuple((name, f"{value:.4g} {shown.unit}".rstrip()) for name, value in numbers if value is not None)
    return (*told, *shown.facts)
