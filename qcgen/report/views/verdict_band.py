"""The first screen: ship or not, and why."""

from dataclasses import dataclass
from typing import ClassVar

from qcgen.core.types import Severity
from qcgen.report import svg, words
from qcgen.report.protocol import Band, Section, Tile
from qcgen.report.runview import RunView


@dataclass(frozen=True, slots=True)
class Answer:
    state: str
    words: str
    reasons: tuple[str, ...]


def answer(view: RunView) -> Answer:
    """Stop on a red gate or nothing to ship; wait for missing items; ask for people where needed; else ship."""
    counts = view.counts
    red = [gate.message for gate in view.run.gates if gate.severity is Severity.BLOCK]
    yellow = [gate.message for gate in view.run.gates if gate.severity is Severity.WARN]
    if red:
        return Answer("bad", "Do not ship", tuple(red))
    if counts.missing:
        missing = f"{words.several(counts.missing, 'item')} of {words.count(counts.planned)} not made yet."
        return Answer("warn", "Not finished", (missing, "Start the same command again to resume."))
    if counts.generated == 0:
        why = "Every item failed." if counts.failed else "The job has no items."
        return Answer("bad", "Nothing to ship", (why,))
    waiting = [f"{words.several(counts.waiting, 'image waits', 'images wait')} for a person."] if counts.waiting else []
    if counts.shippable == 0 and not waiting:
        return Answer("bad", "Do not ship", ("No image was accepted.",))
    if yellow or waiting:
        return Answer("warn", "Ship after review", (*waiting, *yellow))
    if counts.shippable == counts.planned:
        return Answer("good", "Ship", ("All items have an accepted image and no gate objects.",))
    left = counts.planned - counts.shippable
    text = f"{words.several(left, 'item has', 'items have')} no accepted image; no gate objects."
    return Answer("good", f"Ship {words.count(counts.shippable)} of {words.count(counts.planned)}", (text,))


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
        return f"None of {words.several(counts.planned, 'planned item')} has an image."
    text = (
        f"{words.count(counts.accepted)} of {words.several(counts.finished, 'finished item')} accepted: "
        f"{words.percent(view.passed.rate)}, 95 % interval {words.interval(view.passed)}."
    )
    past = sorted(
        night.passed.rate for night in view.nights[:-1][-20:] if night.passed and night.passed.rate is not None
    )
    if past and view.passed.rate is not None:
        middle = (past[(len(past) - 1) // 2] + past[len(past) // 2]) / 2
        change = 100 * (view.passed.rate - middle)
        text += f" {change:+.1f} points against the median of {words.several(len(past), 'earlier run')}."
    return text


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
    tiles.append(Tile("Planned", words.count(counts.planned), f"{words.several(view.attempts, 'attempt')} in all"))
    tiles.append(Tile("Retried", words.count(counts.retried), "needed more than one attempt"))
    if counts.audited:
        text = f"{counts.audited_bad} of {words.count(counts.audited)} audited images refused"
        tiles.append(Tile("Missed defects", f"≤ {words.percent(view.missed_upper)}", f"{text}; 95 % upper bound"))
    else:
        tiles.append(Tile("Missed defects", "unknown", "nobody has audited an accepted image"))
    speed = counts.generated / view.run.seconds if view.run.seconds > 0 else None
    tiles.append(
        Tile(
            "Time", words.duration(view.run.seconds), f"{words.number(speed, 3)} images/s" if speed else "no image yet"
        )
    )
    return tuple(tiles)


def _waiting(view: RunView) -> str:
    counts = view.counts
    if not counts.flagged:
        return "nothing to review"
    return f"{words.count(counts.waiting)} still waiting" if counts.waiting else "all decided"
