"""What shows why a picture is doubtful, read for pages: paths and facts, no pixels and no torch."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qcgen.core.evidence import EVIDENCE, Record, Scale, Shown, evidence_of, read_record
from qcgen.core.types import Row
from qcgen.report import words
from qcgen.report.evidencecharts import draw_bars, draw_curve, draw_swatch
from qcgen.report.protocol import Exhibit
from qcgen.report.runview import Worst


def find_overlays(folder: Path) -> dict[str, str]:
    """By image id, the map of the strongest reason that has one; relative to the run's folder."""
    found = {}
    for path in sorted((folder / EVIDENCE).glob("*.json")):
        record = read_record(folder, path.stem)
        overlay = next((one.overlay for one in record.reasons if one.overlay), None) if record else None
        if overlay is not None:
            found[path.stem] = f"{EVIDENCE}/{overlay}"
    return found


def show_evidence(worst: Sequence[Worst], rows: Sequence[Row], folder: Path, report: Path) -> tuple[Worst, ...]:
    """The images with their evidence, its pictures copied into the report's `worst`."""
    return tuple(
        replace(one, evidence=_copied(record, folder, report))
        if (record := evidence_of(folder, row)) is not None and one.thumbnail is not None
        else one
        for one, row in zip(worst, rows, strict=True)
    )


def exhibits(key: str, shown: Sequence[Shown]) -> tuple[Exhibit, ...]:
    """Reasons as a page shows them; `key` makes the ids of their charts unique."""
    return tuple(_exhibit(f"{key}-{place}", one) for place, one in enumerate(shown, start=1))


def _copied(record: Record, folder: Path, report: Path) -> tuple[Shown, ...]:
    def copy(name: str | None) -> str | None:
        if name is None:
            return None
        try:
            shutil.copyfile(folder / EVIDENCE / name, report / "worst" / name)
        except OSError:
            return None  # somebody removed it; the numbers are still worth showing
        return f"worst/{name}"

    return tuple(replace(one, overlay=copy(one.overlay), companion=copy(one.companion)) for one in record.reasons)


def _exhibit(key: str, one: Shown) -> Exhibit:
    title = words.plain(one.kind).capitalize()
    charts = [draw_curve(f"{key}-curve", title, one.curve)] if one.curve else []
    charts += [draw_bars(f"{key}-bars", title, one.bars)] if one.bars else []
    return Exhibit(
        title=title,
        measured=_measured(one),
        says=one.says,
        overlay=one.overlay,
        companion=one.companion,
        scale=None if one.scale is None or one.overlay is None else _scale(one.scale),
        charts=tuple(charts),
        swatches=tuple((draw_swatch(each.colour), each.label) for each in one.swatches),
        facts=(*one.facts, *(("nearest picture", one_id) for one_id in one.neighbours[:1])),
    )


def _measured(one: Shown) -> str:
    if one.value is None:
        return one.message.partition(": ")[2] or one.message
    limit = "" if one.limit is None else f", limit {words.number(one.limit, 3)}"
    return f"{_with_unit(one.value, one.unit)}{limit}"


def _with_unit(value: float, unit: str) -> str:
    return f"{words.number(value, 3)} {unit}".rstrip()


def _scale(scale: Scale) -> tuple[str, str] | None:
    """A mask has nothing between no colour and full colour."""
    if (scale.low, scale.high) == (0, 1):
        return None
    return words.number(scale.low, 3), _with_unit(scale.high, scale.unit)
