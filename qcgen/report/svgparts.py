"""The pieces that charts are drawn with. Text is escaped here and nowhere else."""

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

WIDTH = 360.0


def svg(key: str, title: str, said: str, height: float, body: str, *, stretch: bool = False) -> Markup:
    shape = ' preserveAspectRatio="none"' if stretch else ""
    return Markup(
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH:g} {height:g}"{shape} aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{escape(title)}</title><desc id="{key}-d">{escape(said)}</desc>{body}</svg>'
    )


def line(look: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(state: str, x: float, y: float, wide: float, tall: float) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
    plain = f'<rect class="fill {state}" {place}/>'
    # Hatching tells the states apart without colour (and in a grey print).
    return plain + f'<rect class="hatch" fill="url(#hatch-{state})" {place}/>' if state in ("warn", "bad") else plain


def text(
    x: float,
    y: float,
    shown: str,
    full: str | None = None,
    *,
    anchor: str = "start",
    muted: bool = False,
    strong: bool = False,
) -> str:
    look = "muted" if muted else "strong" if strong else ""
    tip = f"<title>{escape(full)}</title>" if full is not None and full != shown else ""
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}{tip}</text>'


def clip(label: str, most: int) -> str:
    return label if len(label) <= most else label[: most - 1] + "…"


def tidy(value: float, span: float) -> float:
    """Round an axis label to a thousandth of the axis, so that 0.30000000000000004 and -1e-17 never show."""
    return 0.0 if abs(value) < span / 1000 else value


def outline(
    look: str,
    edges: Sequence[float],
    counts: Sequence[int],
    *,
    across: Callable[[float], float],
    floor: float,
    scale: float,
    ceiling: float,
) -> str:
    """A histogram's outline as a density, cut at the axis' ends and at `ceiling`; `scale` units tall at density 1."""
    total = sum(counts)
    left, right = 8.0, WIDTH - 8.0
    path = ""
    for start, stop, count in zip(edges, edges[1:], counts, strict=False):
        x1, x2 = (min(max(across(edge), left), right) for edge in (start, stop))
        if x2 > x1:
            y = max(floor - count / total / (stop - start) * scale, ceiling)
            path += f"{'L' if path else 'M'}{x1:.1f} {y:.1f}L{x2:.1f} {y:.1f}"
    return f'<path class="{look}" d="{path}"/>' if path else ""
