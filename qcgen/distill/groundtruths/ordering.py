"""Which divergence covers and which seeks: the best single Gaussian for a mixture of two."""

import itertools
import math
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize

from qcgen.distill.analytic import GaussianMixture, mixture_1d
from qcgen.distill.blend import known_divergences
from qcgen.distill.protocol import Divergence
from qcgen.distill.quadrature import Line
from qcgen.distill.selfcheck import Check

COVERS: dict[str, dict[float, float | None]] = {
    "softened_reverse_kl": {1.5: 1.684, 3.0: None, 4.0: None, 6.0: None},
    "reverse_kl": {1.5: 1.714, 3.0: None, 4.0: None, 6.0: None},
    "jeffreys": {1.5: 1.745, 3.0: 2.824},
    "squared_hellinger": {1.5: 1.764, 3.0: 3.050, 6.0: None},
    "jensen_shannon": {1.5: 1.777, 3.0: 3.120, 6.0: None},
    "forward_kl": {1.5: math.sqrt(3.25), 3.0: math.sqrt(10.0), 6.0: math.sqrt(37.0)},
    "pearson": {1.5: 1.859, 3.0: 3.233},
    "neyman": {2.0: None, 3.0: None},
}
"""Deviation of the covering optimum by half the modes' distance; None where the optimum sits on one mode."""


def best_gaussian(divergence: Divergence, half_distance: float) -> tuple[float, float, float]:
    """(mean, deviation, D_f) of the Gaussian nearest to N(-d, 1) / 2 + N(d, 1) / 2: the better of both local optima."""
    teacher = mixture_1d((0.5, -half_distance, 1.0), (0.5, half_distance, 1.0))
    wide = math.sqrt(1 + half_distance**2)
    # Below sqrt 2, so that a divergence which is infinite for a wide student has a finite start.
    starts = [(0.0, math.log(wide)), (0.0, math.log(min(wide, 1.35))), (half_distance, 0.0)]
    found = [_descend(divergence, teacher, start) for start in starts]
    mean, log_deviation, value = min(found, key=lambda one: one[2])
    return mean, math.exp(log_deviation), value


def _descend(
    divergence: Divergence, teacher: GaussianMixture, start: tuple[float, float]
) -> tuple[float, float, float]:
    def value(at: np.ndarray) -> float:
        # A hundredth of a deviation of tolerance on s needs no finer grid than a tenth of the narrowest mode.
        line = Line(teacher, float(at[0]), math.exp(float(np.clip(at[1], -2, 3))), reach=60.0, points=1201)
        found = line.divergence(divergence).value
        # Not infinity: the simplex takes differences of its corners.
        return 1e9 if found is None else found

    first = np.array([start, (start[0] + 0.2, start[1]), (start[0], start[1] - 0.1)])
    done = minimize(
        value, np.array(start), method="Nelder-Mead", options={"initial_simplex": first, "xatol": 1e-4, "fatol": 1e-9}
    )
    return float(done.x[0]), float(done.x[1]), float(done.fun)


class Ordering:
    """The optimum's place, and the strict order of deviations at d = 1.5."""

    name: ClassVar[str] = "ordering"
    title: ClassVar[str] = "Best Gaussian for two modes: seeking to covering"

    def checks(self) -> Iterator[Check]:
        known = known_divergences()
        near: dict[str, float] = {}
        for name, expected in COVERS.items():
            for half_distance, deviation in expected.items():
                mean, found, value = best_gaussian(known[name](), half_distance)
                where = f"{name}, modes at +-{half_distance:g}"
                if deviation is None:
                    # Covering gives a mean of 0; the other mode's pull takes up to a seventh off, most at distance 2.
                    yield Check(f"{where}: seeks, |mean|", "17", abs(mean), 0.85 * half_distance, 0.0, "at_least")
                else:
                    # .01 is the accuracy of the design note's table.
                    yield Check(f"{where}: covers, deviation", "17", found, deviation, 0.01)
                if half_distance == 1.5:
                    near[name] = found
                if (name, half_distance) == ("reverse_kl", 4.0):
                    yield Check(f"{where}: D_f of one of two modes", "17", value, math.log(2), 1e-3)
        order = [near[name] for name in COVERS if name in near]
        least = min(right - left for left, right in itertools.pairwise(order))
        # In the order of COVERS; the table's closest neighbours are .013 apart.
        yield Check(
            "smallest step of the deviations from softened reverse KL to Pearson", "17", least, 0.005, 0.0, "at_least"
        )
