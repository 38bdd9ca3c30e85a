"""Charts of evidence: a curve with the places that count, and values beside each other."""

from collections.abc import Callable, Sequence

from markupsafe import Markup

from qcgen.core.evidence import Bar, Curve, Line
from qcgen.report import words
from qcgen.report.svgparts import WIDTH, clip, line, rect, svg, text, tidy

_LEFT, _RIGHT, _TOP, _FLOOR = 40.0, WIDTH - 8.0, 26.0, 124.0
_LOOKS = ("accent", "plain")

_Place = Callable[[float], float]


def draw_curve(key: str, title: str, curve: Curve) -> Markup:
    """Lines, or bars where it is a histogram; dashed where the number comes from; both axes named with their units."""
    step = (curve.x[1] - curve.x[0]) / 2 if curve.filled and len(curve.x) > 1 else 0.0
    start, end = curve.x[0] - step, curve.x[-1] + step
    values = [y for one in curve.lines for y in one.y]
    low, high = min(0.0, *values) if curve.filled else min(values), max(values)
    if high <= low:
        low, high = low - 0.5, high + 0.5

    def across(x: float) -> float:
        return _LEFT + (x - start) / ((end - start) or 1) * (_RIGHT - _LEFT)

    def down(y: float) -> float:
        return _FLOOR - (y - low) / (high - low) * (_FLOOR - _TOP)

    shapes = [line("limit", across(mark), _TOP - 4, across(mark), _FLOOR + 4) for mark in curve.marks]
    shapes += _scale(low, high, down)
    shapes += _histogram(curve, across, down) if curve.filled else _lines(curve.lines, curve.x, across, down)
    shapes.append(text(0, 12, curve.y_axis, muted=True))
    shapes += _legend(curve.lines)
    for x, anchor in ((curve.x[0], "start"), (curve.x[-1], "end")):
        shapes.append(text(across(x), _FLOOR + 16, words.number(tidy(x, end - start), 3), anchor=anchor, muted=True))
    shapes.append(text((_LEFT + _RIGHT) / 2, _FLOOR + 31, curve.x_axis, anchor="middle", muted=True))
    said = "; ".join(
        f"{one.label}: {words.number(min(one.y), 3)} to {words.number(max(one.y), 3)} {curve.y_axis}"
        for one in curve.lines
    )
    marks = ", ".join(words.number(mark, 3) for mark in curve.marks)
    return svg(key, title, said + (f"; marked at {marks} ({curve.x_axis})" if marks else ""), 160, "".join(shapes))


def draw_bars(key: str, title: str, bars: Sequence[Bar]) -> Markup:
    """One row a value, what was asked for in strong letters and filled in the accent colour."""
    low, high = min(0.0, *(bar.value for bar in bars)), max(0.0, *(bar.value for bar in bars))
    left, right = 150.0, WIDTH - 52.0

    def across(value: float) -> float:
        return left + (value - low) / ((high - low) or 1) * (right - left)

    shapes: list[str] = []
    for place, bar in enumerate(bars):
        y = place * 22
        start, end = sorted((across(0), across(bar.value)))
        shapes.append(text(0, y + 13, clip(bar.label, 20), bar.label, strong=bar.own))
        shapes.append(rect("accent" if bar.own else "plain", start, y + 3, max(end - start, 1.5), 12))
        shapes.append(text(WIDTH, y + 13, words.number(bar.value, 3), anchor="end", muted=True))
    said = "; ".join(f"{bar.label}{' (asked for)' if bar.own else ''}: {words.number(bar.value, 3)}" for bar in bars)
    return svg(key, title, said, max(22 * len(bars), 20), "".join(shapes))


def draw_swatch(colour: str) -> Markup:
    """A colour as #rrggbb."""
    return Markup(
        '<svg class="swatch" viewBox="0 0 10 10" aria-hidden="true" focusable="false">'
        '<rect width="10" height="10" rx="2" fill="{}"/></svg>'
    ).format(colour)


def _scale(low: float, high: float, down: _Place) -> list[str]:
    shapes = []
    for share in (0.0, 0.5, 1.0):
        y = low + share * (high - low)
        shapes.append(line("axis faint", _LEFT, down(y), _RIGHT, down(y)))
        shapes.append(text(_LEFT - 5, down(y) + 4, words.number(tidy(y, high - low), 2), anchor="end", muted=True))
    return shapes


def _histogram(curve: Curve, across: _Place, down: _Place) -> list[str]:
    wide = (_RIGHT - _LEFT) / len(curve.x)
    gap = 1 if wide > 4 else 0
    floor = down(0)
    return [
        rect("accent", across(x) - wide / 2, min(down(y), floor - 1), max(wide - gap, 0.8), max(floor - down(y), 1))
        for x, y in zip(curve.x, curve.lines[0].y, strict=True)
        if y > 0
    ]


def _lines(lines: Sequence[Line], x: Sequence[float], across: _Place, down: _Place) -> list[str]:
    shapes = []
    for one, look in zip(lines, _LOOKS, strict=False):
        points = [f"{across(place):.1f} {down(y):.1f}" for place, y in zip(x, one.y, strict=True)]
        shapes.append(f'<path class="curve {look}" d="M{"L".join(points)}"/>')
        if len(points) <= 32:
            dots = (point.split() for point in points)
            shapes += [f'<circle class="fill {look}" cx="{cx}" cy="{cy}" r="2"/>' for cx, cy in dots]
    return shapes


def _legend(lines: Sequence[Line]) -> list[str]:
    """From the right, because the y axis has its name at the left."""
    shapes, right = [], _RIGHT
    for one, look in list(zip(lines, _LOOKS, strict=False))[::-1]:
        wide = 7 * len(one.label) + 24
        shapes.append(line(f"curve {look}", right - wide, 8, right - wide + 14, 8))
        shapes.append(text(right - wide + 18, 12, one.label, muted=True))
        right -= wide + 10
    return shapes
