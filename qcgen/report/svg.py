"""Small charts as SVG text: no scripts, no fonts, colours from the page's CSS classes, a title and a description each.

Charts are 360 units wide, so on a phone one unit is one pixel and text keeps its size.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from qcgen.core.wording import several
from qcgen.report import svgparts as draw
from qcgen.report import words
from qcgen.report.svgparts import WIDTH


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar. `state`: good, warn, bad, none, open; each has its own colour and hatching."""

    state: str
    amount: int


def stacked_bar(key: str, title: str, parts: Sequence[Part]) -> Markup:
    """One bar over the full width; every part that exists is at least visible."""
    total = sum(part.amount for part in parts)
    shapes: list[str] = []
    left = 0.0
    for part in parts:
        if part.amount:
            wide = part.amount / total * WIDTH
            shapes.append(draw.rect(part.state, left, 0, max(wide, 1.0), 14))
            left += wide
    said = ", ".join(f"{words.count(part.amount)} {part.state}" for part in parts if part.amount)
    body = "".join(shapes) or draw.rect("open", 0, 0, WIDTH, 14)
    return draw.svg(key, title, said or "nothing yet", 14, body, stretch=True)


def bars(key: str, title: str, rows: Sequence[tuple[str, Sequence[Part]]]) -> Markup:
    """Horizontal stacked bars, a label line over each; the longest fills the width."""
    longest = max((sum(part.amount for part in parts) for _, parts in rows), default=0) or 1
    shapes: list[str] = []
    for place, (label, parts) in enumerate(rows):
        top = place * 36
        total = sum(part.amount for part in parts)
        shapes.append(draw.text(0, top + 13, draw.clip(label, 40), label))
        shapes.append(draw.text(WIDTH, top + 13, words.count(total), anchor="end"))
        shapes.append(f'<rect class="track" x="0" y="{top + 18}" width="{WIDTH:g}" height="10" rx="2"/>')
        left = 0.0
        for part in parts:
            wide = part.amount / longest * WIDTH
            if part.amount:
                shapes.append(draw.rect(part.state, left, top + 18, max(wide, 1.5), 10))
            left += wide
    said = "; ".join(f"{label}: {sum(part.amount for part in parts)}" for label, parts in rows)
    return draw.svg(key, title, said or "no rows", max(len(rows) * 36, 20), "".join(shapes))


def histogram(
    key: str,
    title: str,
    *,
    edges: Sequence[float],
    lower: Sequence[int],
    upper: Sequence[int],
    limits: Sequence[tuple[float, str]],
    ghost: tuple[Sequence[float], Sequence[int]] | None = None,
) -> Markup:
    """Bins with `lower` (accepted) at the bottom and `upper` (all others) on top; dashed lines at the limits.

    Args:
        ghost: edges and counts of the run before, drawn as an outline that holds as much area.
    """
    left, right, top, floor = 8.0, WIDTH - 8.0, 24.0, 112.0
    tallest = max((a + b for a, b in zip(lower, upper, strict=True)), default=0) or 1
    span = edges[-1] - edges[0]

    def across(value: float) -> float:
        return left + (value - edges[0]) / span * (right - left)

    shapes = [draw.line("axis", left, floor, right, floor)]
    for start, stop, good, other in zip(edges, edges[1:], lower, upper, strict=False):
        x, wide = across(start), across(stop) - across(start) - 1
        tall_good = good / tallest * (floor - top)
        tall_other = other / tallest * (floor - top)
        # A single image among thousands must still be seen, so a bin that is not empty is at least 1.5 units tall.
        tall_good, tall_other = (
            max(tall, 1.5) if amount else 0.0 for tall, amount in ((tall_good, good), (tall_other, other))
        )
        if good:
            shapes.append(draw.rect("plain", x, floor - tall_good, wide, tall_good))
        if other:
            shapes.append(draw.rect("bad", x, floor - tall_good - tall_other, wide, tall_other))
    if ghost is not None:
        scale = (sum(lower) + sum(upper)) / tallest * (edges[1] - edges[0]) * (floor - top)
        shapes.append(draw.outline("ghost", *ghost, across=across, floor=floor, scale=scale, ceiling=top))
    for value, label in limits:
        x = across(value)
        shapes.append(draw.line("limit", x, top - 8, x, floor + 4))
        anchor = "start" if x < WIDTH * 0.5 else "end"
        shapes.append(draw.text(x + (4 if anchor == "start" else -4), top - 10, label, anchor=anchor, strong=True))
    for share in (0.0, 0.5, 1.0):
        value = edges[0] + share * span
        anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
        shapes.append(
            draw.text(across(value), floor + 16, words.number(draw.tidy(value, span), 3), anchor=anchor, muted=True)
        )
    axis = f"{words.number(edges[0])} to {words.number(edges[-1])}"
    said = f"{sum(lower)} accepted and {several(sum(upper), 'other value')} from {axis}"
    said += "".join(f"; {label}" for _, label in limits)
    said += "; the run before as an outline" if ghost is not None else ""
    return draw.svg(key, title, said, 134, "".join(shapes))


@dataclass(frozen=True, slots=True)
class Dot:
    """A share with its interval; `marked` ones are drawn as a filled diamond instead of a dot."""

    label: str
    rate: float
    low: float
    high: float
    note: str
    marked: bool = False


def interval_dots(key: str, title: str, dots: Sequence[Dot], *, reference: float) -> Markup:
    """One line per dot over a common axis, with a dashed line at the reference."""
    left, right = 118.0, WIDTH - 52.0
    lowest = min([dot.low for dot in dots] + [reference], default=0.0)
    start = max(0.0, min(0.9, int(lowest * 10) / 10))

    def across(rate: float) -> float:
        return left + (rate - start) / (1 - start) * (right - left)

    floor = len(dots) * 24 + 6
    shapes = [draw.line("axis", left, floor, right, floor)]
    shapes.append(draw.line("limit", across(reference), 0, across(reference), floor + 4))
    for place, dot in enumerate(dots):
        y = place * 24 + 14
        state = "bad" if dot.marked else "plain"
        shapes.append(draw.text(0, y + 4, draw.clip(dot.label, 17), dot.label))
        shapes.append(draw.line(f"whisker {state}", across(dot.low), y, across(dot.high), y))
        x = across(dot.rate)
        if dot.marked:
            shapes.append(f'<path class="fill bad" d="M{x:.1f} {y - 6}l6 6-6 6-6-6z"/>')
        else:
            shapes.append(f'<circle class="fill plain" cx="{x:.1f}" cy="{y}" r="4"/>')
        shapes.append(draw.text(WIDTH, y + 4, dot.note, anchor="end", muted=True))
    for rate, anchor in ((start, "start"), ((1 + start) / 2, "middle"), (1.0, "end")):
        shapes.append(draw.text(across(rate), floor + 16, f"{100 * rate:.0f} %", anchor=anchor, muted=True))
    said = "; ".join(f"{dot.label}: {words.percent(dot.rate)}" for dot in dots)
    return draw.svg(key, title, said or "no slices", floor + 22, "".join(shapes))


@dataclass(frozen=True, slots=True)
class Span:
    """A number with its standard error. `look`: plain or accent."""

    label: str
    value: float
    error: float
    note: str
    look: str = "plain"


def spans(
    key: str, title: str, rows: Sequence[Span], *, reference: float | None = None, label_width: float = 40.0
) -> Markup:
    """One line a number over a common axis, a whisker of two errors to each side; `reference` dashed."""
    left, right, floor = label_width, WIDTH - 112.0, len(rows) * 24.0 + 6
    ends = [row.value + side * 2 * row.error for row in rows for side in (-1, 1)]
    low, high = _padded(ends + ([] if reference is None else [reference]), False)

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    shapes = [draw.line("axis", left, floor, right, floor)]
    if reference is not None:
        shapes.append(draw.line("limit", across(reference), 0, across(reference), floor + 4))
    for place, row in enumerate(rows):
        y = place * 24 + 14
        shapes.append(
            draw.text(0, y + 4, draw.clip(row.label, int(label_width / 7)), row.label, strong=row.look == "accent")
        )
        start, end = across(row.value - 2 * row.error), across(row.value + 2 * row.error)
        shapes.append(draw.line("whisker plain", start, y, end, y))
        shapes.append(f'<circle class="fill {row.look}" cx="{across(row.value):.1f}" cy="{y}" r="4"/>')
        shapes.append(draw.text(WIDTH, y + 4, row.note, anchor="end", muted=True))
    for value, anchor in ((low, "start"), (high, "end")):
        shapes.append(
            draw.text(
                across(value), floor + 16, words.number(draw.tidy(value, high - low), 3), anchor=anchor, muted=True
            )
        )
    said = "; ".join(f"{row.label}: {row.note}" for row in rows)
    return draw.svg(key, title, said or "no values", floor + 22, "".join(shapes))


@dataclass(frozen=True, slots=True)
class Point:
    """One night; `rate` None leaves a gap. `change` marks the night with a tick."""

    rate: float | None
    low: float
    high: float
    change: bool = False


def sparkline(key: str, title: str, points: Sequence[Point], *, middle: float | None) -> Markup:
    """A run chart: intervals, a line that breaks at gaps, the median dashed, ticks where something changed."""
    left, right, top, floor = 34.0, WIDTH - 10.0, 10.0, 110.0
    known = [point for point in points if point.rate is not None]
    lowest = min([point.low for point in known] + ([middle] if middle is not None else []), default=0.0)
    start = max(0.0, min(0.9, int(lowest * 10) / 10))

    def across(place: int) -> float:
        return (left + right) / 2 if len(points) < 2 else left + 6 + place / (len(points) - 1) * (right - left - 12)

    def down(rate: float) -> float:
        return floor - (rate - start) / (1 - start) * (floor - top)

    shapes = []
    for rate in (start, (1 + start) / 2, 1.0):
        shapes.append(draw.line("axis faint", left, down(rate), right, down(rate)))
        shapes.append(draw.text(left - 5, down(rate) + 4, f"{100 * rate:.0f}", anchor="end", muted=True))
    if middle is not None:
        shapes.append(draw.line("limit", left, down(middle), right, down(middle)))
    drawing = False
    line = ""
    for place, point in enumerate(points):
        x = across(place)
        if point.change:
            shapes.append(f'<path class="fill warn" d="M{x:.1f} {floor + 4:g}l5 8h-10z"/>')
        if point.rate is None:
            shapes.append(draw.text(x, floor - 4, "?", anchor="middle", muted=True))
            drawing = False
            continue
        line += f"{'L' if drawing else 'M'}{x:.1f} {down(point.rate):.1f}"
        drawing = True
        shapes.append(draw.line("whisker plain", x, down(point.low), x, down(point.high)))
        look, radius = ("accent", 5) if place == len(points) - 1 else ("plain", 3)
        shapes.append(f'<circle class="fill {look}" cx="{x:.1f}" cy="{down(point.rate):.1f}" r="{radius}"/>')
    if line:
        shapes.insert(0, f'<path class="trend" d="{line}"/>')
    said = ", ".join(words.percent(point.rate) if point.rate is not None else "unknown" for point in points)
    return draw.svg(key, title, f"oldest first: {said}", 128, "".join(shapes))


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart: (x, y) points in order of x; a y of None leaves a gap. `look`: plain or accent."""

    label: str
    points: Sequence[tuple[float, float | None]]
    look: str = "accent"


def curves(
    key: str,
    title: str,
    lines: Sequence[Curve],
    *,
    reference: float | None = None,
    marks: Sequence[float] = (),
    logarithmic: bool = False,
) -> Markup:
    """Lines over steps with their names at the top; `reference` dashed; small triangles under the axis at `marks`.

    On a logarithmic axis values that are not positive are gaps.
    """
    left, right, top, floor = 44.0, WIDTH - 8.0, 26.0, 132.0
    shown = [
        Curve(
            line.label,
            [(x, y if y is not None and (y > 0 or not logarithmic) else None) for x, y in line.points],
            line.look,
        )
        for line in lines
    ]
    values = [y for line in shown for _, y in line.points if y is not None] + (
        [reference] if reference is not None else []
    )
    places = [x for line in shown for x, _ in line.points] or [0.0]
    start, end = min(places), max(max(places), min(places) + 1)
    low, high = _padded(values, logarithmic)

    def across(x: float) -> float:
        return left + (x - start) / (end - start) * (right - left)

    def down(y: float) -> float:
        share = (math.log(y / low) / math.log(high / low)) if logarithmic else (y - low) / (high - low)
        return floor - share * (floor - top)

    shapes = []
    for share in (0.0, 0.5, 1.0):
        y = low * (high / low) ** share if logarithmic else low + share * (high - low)
        shapes.append(draw.line("axis faint", left, down(y), right, down(y)))
        shapes.append(
            draw.text(left - 5, down(y) + 4, words.number(draw.tidy(y, high - low), 2), anchor="end", muted=True)
        )
    if reference is not None:
        shapes.append(draw.line("limit", left, down(reference), right, down(reference)))
    for number, line in enumerate(shown):
        shapes.append(f'<path class="curve {line.look}" d="{_path(line, across, down)}"/>')
        x = left + number * (right - left) / max(len(shown), 1)
        shapes.append(draw.line(f"curve {line.look}", x, 10, x + 14, 10))
        shapes.append(draw.text(x + 18, 14, line.label, muted=True))
    shapes += [f'<path class="fill warn" d="M{across(x):.1f} {floor + 2:g}l5 8h-10z"/>' for x in marks]
    for x, anchor in ((start, "start"), (end, "end")):
        shapes.append(draw.text(across(x), floor + 22, words.count(round(x)), anchor=anchor, muted=True))
    said = "; ".join(f"{line.label}: {_said(line)}" for line in shown)
    return draw.svg(key, title, said or "no values", 158, "".join(shapes))


def _path(line: Curve, across: Callable[[float], float], down: Callable[[float], float]) -> str:
    path, drawing = "", False
    for x, y in line.points:
        if y is not None:
            path += f"{'L' if drawing else 'M'}{across(x):.1f} {down(y):.1f}"
        drawing = y is not None
    return path


def _padded(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = min(values, default=1.0 if logarithmic else 0.0), max(values, default=1.0)
    if logarithmic:
        return (low, high) if high > low * 1.05 else (low / 1.1, high * 1.1)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _said(line: Curve) -> str:
    known = [y for _, y in line.points if y is not None]
    return f"from {words.number(known[0], 3)} to {words.number(known[-1], 3)}" if known else "no values"
