"""Ship or not, and why."""

from dataclasses import dataclass

from qcgen.core.types import Severity
from qcgen.core.wording import several
from qcgen.report import words
from qcgen.report.runview import RunView


@dataclass(frozen=True, slots=True)
class Answer:
    state: str
    words: str
    reasons: tuple[str, ...]


SHIP, HOLD, UNKNOWN = "SHIP", "HOLD", "CANNOT TELL YET"


def answer(view: RunView) -> Answer:
    """Hold on a red gate, a red check or nothing to ship; no answer while items are missing or people are asked; else
    ship."""
    counts = view.counts
    # A warning beside the pictures (a licence's duty) stands every night; it would leave no night with an answer.
    red = [gate.message for gate in (*view.run.gates, *view.checks) if gate.severity is Severity.BLOCK]
    yellow = [gate.message for gate in view.run.gates if gate.severity is Severity.WARN]
    if red:
        return Answer("bad", HOLD, tuple(red))
    if counts.missing:
        missing = f"{several(counts.missing, 'item')} of {words.count(counts.planned)} not made yet."
        return Answer("warn", UNKNOWN, (missing, "Start the same command again to resume."))
    if counts.generated == 0:
        return Answer("bad", HOLD, ("Every item failed." if counts.failed else "The job has no items.",))
    waiting = [f"{several(counts.waiting, 'image waits', 'images wait')} for a person."] if counts.waiting else []
    if counts.shippable == 0 and not waiting:
        return Answer("bad", HOLD, ("No image was accepted.",))
    if yellow or waiting:
        return Answer("warn", UNKNOWN, (*waiting, *yellow))
    if counts.shippable == counts.planned:
        return Answer("good", SHIP, ("All items have an accepted image and no gate objects.",))
    left = counts.planned - counts.shippable
    text = f"{several(left, 'item has', 'items have')} no accepted image; no gate objects."
    return Answer("good", f"{SHIP} {words.count(counts.shippable)} of {words.count(counts.planned)}", (text,))
