"""The memory behind the stop rules: what the last steps and evaluations showed, and how often it went back."""

from collections import deque
from collections.abc import Mapping
from dataclasses import astuple
from typing import cast

from qcgen.core.distillspec import StopSpec
from qcgen.distill.stop import WINDOW, Measured, Reference, StepFacts, abort_reason, best_of, end_reason

_TRACE = 10 * WINDOW


class Guard:
    """Attributes:
    evaluations: all that count, oldest first.
    retries: roll-backs so far.
    rate_scale: factor of the student's rate; each roll-back halves it.
    """

    def __init__(self, spec: StopSpec) -> None:
        self.spec = spec
        self.trace: deque[StepFacts] = deque(maxlen=_TRACE)
        self.evaluations: list[Measured] = []
        self.retries = 0
        self.rate_scale = 1.0

    def fault(self, facts: StepFacts, reference: Reference) -> str | None:
        """Take in a step; why the training must go back, if it must."""
        self.trace.append(facts)
        return abort_reason(list(self.trace), reference)

    def roll_back(self, earlier: "Guard") -> None:
        """Take over what an earlier state knew, but remember that the training went back and slow it down."""
        self.trace, self.evaluations = earlier.trace, earlier.evaluations
        self.retries += 1
        self.rate_scale /= 2

    def measured(self, evaluation: Measured) -> bool:
        """Take in an evaluation; whether it is the best so far."""
        self.evaluations.append(evaluation)
        return best_of(self.evaluations) is evaluation

    def end(self) -> str | None:
        """Why the training should end, if it should."""
        return end_reason(self.evaluations, patience=self.spec.patience, recall_drop=self.spec.recall_drop)

    def state_dict(self) -> dict[str, object]:
        return {
            "trace": [list(astuple(facts)) for facts in self.trace],
            "evaluations": [list(astuple(one)) for one in self.evaluations],
            "retries": self.retries,
            "rate_scale": self.rate_scale,
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.trace.clear()
        for step, finite, norm, mean, std in cast(
            list[tuple[int, bool, float, list[float], list[float]]], state["trace"]
        ):
            self.trace.append(StepFacts(step, finite, norm, tuple(mean), tuple(std)))
        rows = cast(list[tuple[int, float, float, float | None]], state["evaluations"])
        self.evaluations = [Measured(*row) for row in rows]
        self.retries, self.rate_scale = cast(int, state["retries"]), cast(float, state["rate_scale"])
