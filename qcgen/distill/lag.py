"""How many fake-score updates a student step needs: the lag is measured, not guessed.

Linear model: the fake score removes a share beta of its lag between two student steps, and the student moves by a share
rate of what the fake score shows. They do not chase each other in circles while
rate <= (1 - sqrt(1 - beta))^2 / beta.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from qcgen.core.distillspec import FakeSpec

_KEPT = 0.7
"""Share of the old estimate that a probe keeps: single probes of a few dozen samples are noisy."""


def monotone_limit(beta: float) -> float:
    """Largest student rate without oscillation, for a share `beta` in (0, 1] of the lag removed; about beta / 4."""
    return (1 - math.sqrt(1 - beta)) ** 2 / beta if beta > 0 else 0.0


def removed_share(first_drop: float, second_drop: float) -> float | None:
    """beta from the drops of one held-out loss in two equal rounds of updates.

    The loss above its unknown floor is quadratic in the lag, so a round leaves (1 - beta)^2 of it and the second drop
    is (1 - beta)^2 of the first; the floor cancels. None where the first round gained nothing: there is no lag to see.
    """
    if first_drop <= 0:
        return None
    return 1 - math.sqrt(min(max(second_drop / first_drop, 0.0), 1.0))


def updates_for(*, rate: float, beta: float, updates: int, most: int) -> int:
    """The fewest updates that keep `rate` in the monotone regime, when `updates` of them remove `beta` of the lag."""
    left_per_update = (1 - beta) ** (1 / updates)
    for count in range(1, most):
        if rate <= monotone_limit(1 - left_per_update**count):
            return count
    return most


@dataclass(frozen=True, slots=True)
class Probe:
    """One measurement: held-out losses before, after one and after two rounds of updates, and the student's rate."""

    losses: tuple[float, float, float]
    rate: float


class LagController:
    """Fake-score updates per student step. A fixed number stays as it is, but a roll-back doubles it too."""

    def __init__(self, spec: FakeSpec) -> None:
        self.spec = spec
        self.adapts = spec.updates == "auto"
        self.updates = spec.start if isinstance(spec.updates, str) else spec.updates
        self.least = 1
        self.beta: float | None = None
        self.rate: float | None = None
        self._drops = [0.0, 0.0]

    def observe(self, probe: Probe) -> None:
        """Take in a probe; moves by at most one update at a time, since the estimate lags too."""
        before, between, after = probe.losses
        found = (before - between, between - after)
        seen = any(self._drops)
        self._drops = [
            _KEPT * old + (1 - _KEPT) * new if seen else new for old, new in zip(self._drops, found, strict=True)
        ]
        self.rate = probe.rate if self.rate is None else _KEPT * self.rate + (1 - _KEPT) * probe.rate
        self.beta = removed_share(self._drops[0], self._drops[1])
        if not self.adapts or self.beta is None:
            return
        wanted = updates_for(rate=max(self.rate, 0.0), beta=self.beta, updates=self.updates, most=self.spec.most)
        self.updates = max(self.least, self.updates + (wanted > self.updates) - (wanted < self.updates))

    def double(self) -> None:
        """After a roll-back: twice the updates, and never fewer from here on."""
        self.updates = self.least = 2 * self.updates

    def state_dict(self) -> dict[str, object]:
        return {
            "updates": self.updates,
            "least": self.least,
            "beta": self.beta,
            "rate": self.rate,
            "drops": list(self._drops),
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        self.updates, self.least = cast(int, state["updates"]), cast(int, state["least"])
        self.beta, self.rate = cast(float | None, state["beta"]), cast(float | None, state["rate"])
        self._drops = cast(list[float], state["drops"])
