"""The control chart: points, limits that step with the night's size, gaps that stay gaps, events under the axis."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from qcgen.core.wording import part_of, several
from qcgen.report import svgparts as draw
from qcgen.report import words
from qcgen.report.control import Chart, Judged
from qcgen.report.svgparts import WIDTH

_LEFT, _RIGHT, _TOP, _FLOOR = 44.0, WIDTH - 8.0, 12.0, 118.0


@dataclass(frozen=True, slots=True)
class Place:
    """A slot as the axis shows it. `state`: run, missing (no run), unknown (a run without numbers)."""

    day: str
    state: str
    event: bool = False
    baseline: bool = False


def control(key: str, chart: Chart, places: Sequence[Place]) -> Markup:
    """One point a night; alarms are diamonds, everything else dots; a line breaks where a night is missing."""
    scale = _Scale(chart, len(places))
    shapes = [*_axis(scale, chart), *_places(scale, places), *_limits(scale, chart.points)]
    shapes.append(_line(scale, [None if point is None else point.value for point in chart.points], "trend"))
    shapes.append(_line(scale, [None if point is None else point.smoothed for point in chart.points], "curve accent"))
    for place, point in enumerate(chart.points):
        if point is not None:
            shapes.append(_point(scale.across(place), scale.down(point.value), point, place == len(places) - 1))
    for place, anchor in ((0, "start"), (len(places) - 1, "end")):
        if places and (place or anchor == "start"):
            x = _LEFT if anchor == "start" else _RIGHT
            shapes.append(draw.text(x, _FLOOR + 28, places[place].day, anchor=anchor, muted=True))
    return draw.svg(key, chart.title, _said(chart), 150, "".join(shapes))


class _Scale:
    def __init__(self, chart: Chart, places: int) -> None:
        ends = [end for point in chart.points if point for end in (point.value, point.low, point.high, point.centre)]
        known = [end for end in ends if end is not None] or [0.0, 1.0]
        low, high = min(known), max(known)
        margin = 0.08 * (high - low) or max(abs(low) * 0.05, 0.01)
        self.low, self.high = low - margin, high + margin
        if chart.share:
            self.low, self.high = max(self.low, 0.0), min(self.high, 1.0)
        self._places = places

    def across(self, place: float) -> float:
        inside = _RIGHT - _LEFT - 12
        return (_LEFT + _RIGHT) / 2 if self._places < 2 else _LEFT + 6 + place / (self._places - 1) * inside

    def down(self, value: float) -> float:
        return _FLOOR - (value - self.low) / (self.high - self.low) * (_FLOOR - _TOP)

    @property
    def step(self) -> float:
        return (_RIGHT - _LEFT - 12) / max(self._places - 1, 1)


def _axis(scale: _Scale, chart: Chart) -> list[str]:
    shapes = []
    for share in (0.0, 0.5, 1.0):
        value = scale.low + share * (scale.high - scale.low)
        span = scale.high - scale.low
        shown = f"{100 * value:.{1 if span < 0.2 else 0}f}" if chart.share else words.number(draw.tidy(value, span), 3)
        shapes.append(draw.line("axis faint", _LEFT, scale.down(value), _RIGHT, scale.down(value)))
        shapes.append(draw.text(_LEFT - 5, scale.down(value) + 4, shown, anchor="end", muted=True))
    return shapes


def _places(scale: _Scale, places: Sequence[Place]) -> list[str]:
    shapes = []
    for place, one in enumerate(places):
        x = scale.across(place)
        if one.baseline:
            shapes.append(draw.line("baseline", x - scale.step / 2, _TOP, x - scale.step / 2, _FLOOR))
        if one.event:
            shapes.append(f'<path class="fill warn" d="M{x:.1f} {_FLOOR + 4:g}l5 8h-10z"/>')
        if one.state != "run":
            sign = "?" if one.state == "unknown" else "\u00d7"
            shapes.append(draw.text(x, _FLOOR - 3, sign, anchor="middle", muted=True))
    return shapes


def _limits(scale: _Scale, points: Sequence[Judged | None]) -> list[str]:
    """Steps, each as wide as its night: the limits of a night say nothing of the next one."""
    shapes = []
    half = scale.step / 2
    for place, point in enumerate(points):
        if point is None:
            continue
        x1, x2 = max(scale.across(place) - half, _LEFT), min(scale.across(place) + half, _RIGHT)
        shapes.append(draw.line("limit", x1, scale.down(point.centre), x2, scale.down(point.centre)))
        for end in (point.low, point.high):
            if end is not None:
                shapes.append(draw.line("bound", x1, scale.down(end), x2, scale.down(end)))
    return shapes


def _line(scale: _Scale, values: Sequence[float | None], look: str) -> str:
    path, drawing = "", False
    for place, value in enumerate(values):
        if value is not None:
            path += f"{'L' if drawing else 'M'}{scale.across(place):.1f} {scale.down(value):.1f}"
        drawing = value is not None
    return f'<path class="{look}" d="{path}"/>' if path else ""


def _point(x: float, y: float, point: Judged, last: bool) -> str:
    if point.rules:
        return f'<path class="fill bad" d="M{x:.1f} {y - 5:.1f}l5 5-5 5-5-5z"/>'
    return f'<circle class="fill {"accent" if last else "plain"}" cx="{x:.1f}" cy="{y:.1f}" r="{4 if last else 2.5}"/>'


def _said(chart: Chart) -> str:
    known = [point for point in chart.points if point is not None]
    if not known:
        return "no values"
    alarms = sum(bool(point.rules) for point in known)
    first, last = (
        words.percent(one.value) if chart.share else words.number(one.value) for one in (known[0], known[-1])
    )
    limits = part_of(alarms, chart.judged, "night", "alarms", "alarm") if chart.judged else "no limits yet"
    return f"{several(len(known), 'night')} from {first} to {last}; {limits}"
