"""The first screen: ship or not, and why."""

from typing import ClassVar

from qcgen.core.control import typical
from qcgen.core.wording import several
from qcgen.report import svg, words
from qcgen.report.answer import answer
from qcgen.report.protocol import Band, Section, Tile
from qcgen.report.runview import RunView


class VerdictBand:
    name: ClassVar[str] = "verdict"
    order: ClassVar[int] = 10

    def build(self, view: RunView) -> Section:
        counts, told = view.counts, answer(view)
        parts = (
            svg.Part("good", counts.accepted),
            svg.Part("warn", counts.flagged),
            svg.Part("bad", counts.rejected),
            svg.Part("none", counts.failed),
            svg.Part("open", counts.missing),
        )
        band = Band(
            state=told.state,
            answer=told.words,
            sentence=_sentence(view),
            reasons=told.reasons,
            chart=svg.stacked_bar("band", "Items by outcome: accepted, flagged, rejected, failed, not made", parts),
            tiles=_tiles(view),
        )
        return Section("verdict", "Verdict", "", (band,))


def _sentence(view: RunView) -> str:
    counts = view.counts
    if not counts.finished:
        return f"None of {several(counts.planned, 'planned item')} has an image."
    return (
        f"{words.count(counts.accepted)} of {several(counts.finished, 'finished item')} accepted: "
        f"{words.percent(view.passed.rate)}, 95 % interval {words.interval(view.passed)}."
    )


def _change(view: RunView) -> str:
    """Against the median of the last 20 earlier runs."""
    past = [night.passed.rate for night in view.nights[:-1][-20:] if night.passed and night.passed.rate is not None]
    middle = typical(past)
    if middle is None or view.passed.rate is None:
        return "no earlier run to compare with"
    change = 100 * (view.passed.rate - middle)
    return f"{change:+.1f} points against the median of {several(len(past), 'earlier run')}"


def _tiles(view: RunView) -> tuple[Tile, ...]:
    counts = view.counts

    def share(amount: int) -> str:
        return f"{words.percent(amount / counts.planned)} of planned" if counts.planned else "of 0 planned"

    tiles = [
        Tile("Accepted", words.count(counts.accepted), share(counts.accepted), "good", "grid.html#outcome=accept"),
        Tile("Flagged for review", words.count(counts.flagged), _waiting(view), "warn", "grid.html#outcome=review"),
        Tile("Rejected", words.count(counts.rejected), share(counts.rejected), "bad", "grid.html#outcome=reject"),
        Tile("Failed", words.count(counts.failed), share(counts.failed), "none", "grid.html#outcome=failed"),
    ]
    if counts.missing:
        tiles.append(Tile("Not made", words.count(counts.missing), share(counts.missing), "open"))
    made = f"{words.count(counts.generated)} generated, {words.count(counts.retried)} retried"
    tiles.append(Tile("Planned", words.count(counts.planned), f"{made}, {several(view.attempts, 'attempt')}"))
    tiles.append(Tile("Pass rate", words.percent(view.passed.rate), _change(view)))
    tiles.append(_missed(view))
    tiles.append(_cost(view))
    return tuple(tiles)


def _missed(view: RunView) -> Tile:
    seen = view.missed
    if not seen.of:
        return Tile("Missed defects", "not audited", "nobody looked at an accepted image")
    text = f"{seen.count} of {several(seen.of, 'audited image')} refused"
    return Tile("Missed defects", f"≤ {words.percent(view.missed_upper)}", f"{text}; 95 % upper bound")


def _cost(view: RunView) -> Tile:
    made, seconds = view.counts.generated, view.run.seconds
    if not made or seconds <= 0:
        return Tile("Cost", words.duration(seconds), "no image yet")
    device = view.run.environment.get("device", "")
    note = f"{words.duration(seconds)} in all{f' on {device}' if device else ''}"
    return Tile("Cost", f"{words.number(seconds / made, 3)} s/image", note)


def _waiting(view: RunView) -> str:
    counts = view.counts
    if not counts.flagged:
        return "nothing to review"
    return f"{words.count(counts.waiting)} still waiting" if counts.waiting else "all decided"
