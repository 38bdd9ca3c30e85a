"""Figures that stand alone as SVG files: they carry their own colours, for light pages and dark ones."""

from collections.abc import Sequence

from markupsafe import escape

_WIDTH, _HEIGHT = 640.0, 250.0
_LEFT, _RIGHT, _TOP, _FLOOR = 14.0, 626.0, 52.0, 204.0
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1d2430}.muted{fill:#5a6472}.axis{stroke:#8a94a3}"
    ".one{fill:#2f6fd0;fill-opacity:.35;stroke:#2f6fd0;stroke-width:1.5}"
    ".other{fill:none;stroke:#c25a16;stroke-width:2;stroke-dasharray:5 3}"
    "@media(prefers-color-scheme:dark){text{fill:#e6e9ee}.muted{fill:#a4adba}}"
)


def two_histograms(
    title: str, *, edges: Sequence[float], one: tuple[str, Sequence[int]], other: tuple[str, Sequence[int]]
) -> str:
    """Two sets of values over one axis as shares of their own totals: the first filled, the second a dashed outline.

    Args:
        title: what the values are; also read aloud.
        edges: of the bins, one more than counts.
        one: label and counts.
        other: label and counts.

    Returns:
        A complete SVG file.
    """
    shares = [_shares(counts) for _, counts in (one, other)]
    tallest = max((share for found in shares for share in found), default=0.0) or 1.0
    outlines = [_outline(found, edges, tallest) for found in shares]
    labels = [f"{label} ({sum(counts):,})" for label, counts in (one, other)]
    ticks = [_tick(share, edges) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    said = f"{title}: {labels[0]} filled, {labels[1]} dashed"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{escape(said)}"><style>{_STYLE}</style><title>{escape(title)}</title>'
        f'<rect class="one" x="{_LEFT:g}" y="11" width="14" height="10"/>'
        f'<text x="{_LEFT + 20:g}" y="21">{escape(labels[0])}</text>'
        f'<line class="other" x1="{_LEFT:g}" y1="36" x2="{_LEFT + 14:g}" y2="36"/>'
        f'<text x="{_LEFT + 20:g}" y="41">{escape(labels[1])}</text>'
        f'<path class="one" d="{outlines[0]}"/><path class="other" d="{outlines[1]}"/>'
        f'<line class="axis" x1="{_LEFT:g}" y1="{_FLOOR:g}" x2="{_RIGHT:g}" y2="{_FLOOR:g}"/>{"".join(ticks)}'
        f'<text class="muted" x="{_WIDTH / 2:g}" y="{_HEIGHT - 8:g}" text-anchor="middle">{escape(title)}</text>'
        "</svg>\n"
    )


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _outline(shares: Sequence[float], edges: Sequence[float], tallest: float) -> str:
    drawn = [f"M{_across(edges[0], edges):.1f} {_FLOOR:g}"]
    for share, start, stop in zip(shares, edges, edges[1:], strict=False):
        y = _FLOOR - share / tallest * (_FLOOR - _TOP)
        drawn.append(f"L{_across(start, edges):.1f} {y:.1f}L{_across(stop, edges):.1f} {y:.1f}")
    return f"{''.join(drawn)}L{_across(edges[-1], edges):.1f} {_FLOOR:g}"


def _across(value: float, edges: Sequence[float]) -> float:
    return _LEFT + (value - edges[0]) / (edges[-1] - edges[0]) * (_RIGHT - _LEFT)


def _tick(share: float, edges: Sequence[float]) -> str:
    value = edges[0] + share * (edges[-1] - edges[0])
    anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
    return f'<text class="muted" x="{_across(value, edges):.1f}" y="222" text-anchor="{anchor}">{value:.3g}</text>'
