"""The two-rate model of student and fake score: when the loop between them begins to swing."""

import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from scipy.optimize import bisect

from qcgen.distill.selfcheck import Check


def loop(beta: float, eta: float) -> np.ndarray:
    """One round in one dimension, teacher at 0: the fake score's mean takes up a share `beta` of its lag behind the
    student's mean, then the student steps by `eta` times the fake's. Acts on (student mean, fake mean)."""
    fake = np.array([beta, 1 - beta])
    student = np.array([1.0, 0.0]) - eta * fake
    return np.stack([student, fake])


class Feedback:
    """Where the loop's eigenvalues leave the real axis, and the unit circle, against the closed forms."""

    name: ClassVar[str] = "feedback"
    title: ClassVar[str] = "Two rates: onset of oscillation and of divergence"

    def checks(self) -> Iterator[Check]:
        for beta in (0.1, 0.5, 0.9):
            calm = (1 - math.sqrt(1 - beta)) ** 2 / beta
            stable = (4 - 2 * beta) / beta

            def swings(eta: float, beta: float = beta) -> float:
                return float(np.abs(np.linalg.eigvals(loop(beta, eta)).imag).max() > 1e-9) - 0.5

            def explodes(eta: float, beta: float = beta) -> float:
                return float(np.abs(np.linalg.eigvals(loop(beta, eta))).max() > 1 + 1e-9) - 0.5

            # Both onsets are found by bisection to 1e-6 of their place; the design note asks for 2 %.
            found = bisect(swings, 0.5 * calm, 1.5 * calm, rtol=1e-6)
            yield Check(f"beta {beta:g}: student rate where it swings", "10", found, calm, 1e-3 * calm)
            found = bisect(explodes, 0.5 * stable, 1.5 * stable, rtol=1e-6)
            yield Check(f"beta {beta:g}: student rate where it diverges", "10", found, stable, 1e-3 * stable)
