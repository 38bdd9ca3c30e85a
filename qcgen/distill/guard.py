"""The memory behind the stop rules: what the last steps and evaluations showed, and how often it went back."""

from collections import deque
from collections.abc import Mapping
from dataclasses import astuple
from typing import cast

from qcgen.core.distillspec import StopSpec
from qcgen.distill.stop import (
    WINDOW,
    Fault,
    Measured,
    Reference,
    StepFacts,
    best_of,
    end_reason,
    find_fault,
    looks_back_to,
)

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

    def fault(self, facts: StepFacts, reference: Reference) -> Fault | None:
        """Take in a step; why the training must go back, if it must."""
        self.trace.append(facts)
        return find_fault(list(self.trace), reference)

    def broken_pictures(self, reason: str) -> Fault:
        """An evaluation that could not be measured: the trouble began somewhere after the one before it."""
        return Fault(reason, self.since_evaluation())

    def since_evaluation(self) -> int:
        """The first step that the next evaluation judges alone."""
        return self.evaluations[-1].step + 1 if self.evaluations else 1

    def looks_back_to(self, step: int) -> int:
        """The first step that a rule on steps may look at from `step` on."""
        return looks_back_to(self.trace, step)

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
        self.evaluations = read_evaluations(state)
        self.retries, self.rate_scale = cast(int, state["retries"]), cast(float, state["rate_scale"])


def read_evaluations(state: Mapping[str, object]) -> list[Measured]:
    """Those of a guard's stored state."""
    rows = cast(list[tuple[int, float, float, float | None]], state["evaluations"])
    return [Measured(*row) for row in rows]
