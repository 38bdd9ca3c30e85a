"""Pass rates by product, colour and other fields of the items table."""

from typing import ClassVar

from qcgen.core.wording import several
from qcgen.report import svg, words
from qcgen.report.protocol import Column, Figure, Mark, Number, Section, Table, Text
from qcgen.report.runview import RunView, SliceSet

_DRAWN = 24


class Slices:
    name: ClassVar[str] = "slices"
    order: ClassVar[int] = 40

    def build(self, view: RunView) -> Section:
        title = "Where it goes well and where not"
        overall = view.passed.rate
        if not view.slices or overall is None:
            return Section(
                "slices", title, "", (Text("The items have no field with a few repeated values to slice by."),)
            )
        low = [f"{cut.field} {one.value}" for cut in view.slices for one in cut.slices if one.below]
        lead = "No slice is surely below the run as a whole."
        if low:
            more = f" and {len(low) - 4} more" if len(low) > 4 else ""
            lead = f"Surely below the run's {words.percent(overall)}: {', '.join(low[:4])}{more}."
        figures = tuple(_figure(place, cut, overall) for place, cut in enumerate(view.slices))
        return Section("slices", title, lead, figures)


def _figure(place: int, cut: SliceSet, overall: float) -> Figure:
    marked = any(one.below for one in cut.slices)
    dots = [
        svg.Dot(
            one.value,
            one.passed.rate or 0.0,
            one.passed.low,
            one.passed.high,
            f"n {words.count(one.passed.of)}",
            one.below,
        )
        for one in cut.slices[:_DRAWN]
    ]
    chart = svg.interval_dots(f"slice{place}", f"Pass rate by {cut.field} with 95 % intervals", dots, reference=overall)
    columns = (
        Column(cut.field),
        Column("Items", True),
        Column("Accepted", True),
        Column("Pass rate", True),
        Column("95 % interval", True),
        *([Column("Against the run")] if marked else []),
    )
    rows = tuple(
        (
            one.value,
            Number(one.passed.of, words.count(one.passed.of)),
            Number(one.passed.count, words.count(one.passed.count)),
            Number(one.passed.rate, words.percent(one.passed.rate)),
            words.interval(one.passed),
            *([Mark("bad", "Below") if one.below else "as the run"] if marked else []),
        )
        for one in cut.slices
    )
    note = (
        f"Lowest first. Dashed: the run, {words.percent(overall)}. “Below” holds after correcting for "
        f"{several(len(cut.slices), 'slice')} (Bonferroni); intervals are Wilson's."
    )
    if len(cut.slices) > _DRAWN:
        note += f" The {_DRAWN} lowest are drawn."
    return Figure(f"By {cut.field}", chart, Table(f"by-{place + 1}", f"Pass rate by {cut.field}", columns, rows), note)
