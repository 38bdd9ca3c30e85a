"""Each detector's numbers over the run, with the limit where findings show one."""

from typing import ClassVar

from qcgen.core.wording import several
from qcgen.report import svg, words
from qcgen.report.protocol import Cell, Column, Number, Panel, Panels, Section, Table, Text
from qcgen.report.runview import Histogram, RunView

# More limits than this differ by product or colour; single lines would hide the bars.
_LINES = 2


class Metrics:
    name: ClassVar[str] = "metrics"
    order: ClassVar[int] = 50

    def build(self, view: RunView) -> Section:
        title = "What the detectors measured"
        if not view.histograms:
            return Section("metrics", title, "", (Text("No detector has measured an image of this run."),))
        lead = (
            "Plain bars are accepted images, hatched ones all others; a dashed line is a limit that a finding names; "
            "a thin outline is the run before this one. "
            "The axis spans the central 99 % of the values and the limits; its outermost bars hold everything beyond."
        )
        panels = tuple(_panel(place, shape) for place, shape in enumerate(view.histograms))
        return Section("metrics", title, lead, (Panels(panels, _table(view.histograms)),))


def _panel(place: int, shape: Histogram) -> Panel:
    chart = svg.histogram(
        f"m{place}",
        f"Values of {shape.detector}",
        edges=shape.edges,
        lower=shape.accepted,
        upper=shape.others,
        limits=_lines(shape),
        ghost=None if shape.ghost is None else (shape.ghost.edges, shape.ghost.counts),
    )
    return Panel(words.plain(shape.detector), chart, _note(shape))


def _table(shapes: tuple[Histogram, ...]) -> Table:
    titles = ("Scored", "Not scored", "5 % quantile", "Median", "95 % quantile", "Beyond a limit", "Off the axis")
    judged = any(shape.told for shape in shapes)
    columns = (
        Column("Detector"),
        *(Column(title, True) for title in titles),
        *([Column("People", True)] if judged else []),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            shape.detector,
            Number(shape.scored, words.count(shape.scored)),
            Number(shape.unscored, words.count(shape.unscored)),
            Number(shape.p05, words.number(shape.p05)),
            Number(shape.median, words.number(shape.median)),
            Number(shape.p95, words.number(shape.p95)),
            Number(_beyond(shape), words.count(_beyond(shape))),
            Number(shape.below + shape.above, words.count(shape.below + shape.above)),
            *_people(shape, judged),
        )
        for shape in shapes
    )
    note = (
        "People: the chance that an image which a person refused has the larger number than one that a person passed, "
        "with how many of each; 0.50 tells nothing, values near 0 or 1 tell them apart."
    )
    return Table("detectors", "Detectors in numbers", columns, rows, note=note if judged else None)


def _people(shape: Histogram, judged: bool) -> tuple[Number, ...]:
    if not judged:
        return ()
    if shape.told is None:
        return (Number(None, "too few"),)
    counts = f"{words.count(shape.told.refused)} and {words.count(shape.told.passed)}"
    return (Number(shape.told.auroc, f"{shape.told.auroc:.2f} ({counts})"),)


def _lines(shape: Histogram) -> tuple[tuple[float, str], ...]:
    shown = [limit for limit in shape.limits if shape.edges[0] <= limit.value <= shape.edges[-1]]
    if len(shown) > _LINES:
        return ()
    return tuple(
        (limit.value, f"{'at least' if limit.least else 'at most'} {words.number(limit.value)}") for limit in shown
    )


def _note(shape: Histogram) -> str:
    beyond = _beyond(shape)
    text = f"median {words.number(shape.median, 3)}"
    if len(shape.limits) > _LINES:
        values = [limit.value for limit in shape.limits]
        text += f"; {len(values)} limits from {words.number(min(values))} to {words.number(max(values))}"
    if beyond:
        text += f"; {several(beyond, 'image')} beyond the limit"
    if shape.unscored:
        text += f"; {words.count(shape.unscored)} not scored"
    return text


def _beyond(shape: Histogram) -> int:
    return sum(limit.images for limit in shape.limits)
