"""D_f(p || q) as a number, or the reason why there is none: several of these integrals are infinite in plain cases."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from qcgen.distill.protocol import Divergence

_NO_MASS = -1e300
"""Stands for ln 0: a product with it is beyond `_BEYOND`, while 0 times it is 0 where minus infinity would give NaN."""
_BEYOND = 1e200
_RIM = 64
_LEAST_MASS = 0.999
_LEAST_SAMPLES = 100
_WORST_TAIL = 0.7


@dataclass(frozen=True, slots=True)
class Value:
    """A divergence's value.

    Attributes:
        value: D_f in nats on the scale f''(1) = 1; None where there is no number.
        error: standard error of a value from samples; 0 on a grid.
        reason: why there is no number; empty where there is one.
    """

    value: float | None
    error: float
    reason: str

    @property
    def finite(self) -> bool:
        return self.value is not None


def grid_value(
    divergence: Divergence, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"], *, spacing: Sequence[float]
) -> Value:
    """D_f between two densities on an even grid, one axis for each entry of `spacing`.

    Densities that vanish smoothly are integrated to rounding. The answer is a reason instead of a number when an
    integrand is beyond all numbers, grows towards the grid's rim, still matters there, or when the grid holds less
    than 99.9 % of either density. What happens beyond the grid is not seen: make it wide.

    Args:
        log_p: the teacher's log densities, natural log, float64; minus infinity where it has no mass.
        log_q: the student's.
    """
    cell = math.prod(spacing)
    for name, log_mass in (("teacher", log_p), ("student", log_q)):
        mass = log_mass.exp().sum().item() * cell
        if not mass >= _LEAST_MASS:
            return _none(f"the grid holds {mass:.1%} of the {name}'s mass")
    integrand = divergence.perspective(log_p.clamp(min=_NO_MASS), log_q.clamp(min=_NO_MASS))
    total = integrand.sum().item() * cell
    if not abs(total) < _BEYOND:
        return _none("infinite: beyond all numbers where one density has no mass")
    rings = _rings(integrand)
    if rings[0] > rings[1] > 1e-200:
        return _none("infinite: the integrand grows towards the rim of the grid")
    if rings[0] * cell > 1e-6 * total + 1e-12:
        return _none("infinite, or the grid is too narrow: the integrand does not vanish at its rim")
    return Value(total, 0.0, "")


def sample_value(divergence: Divergence, log_ratio: Float[Tensor, " n"]) -> Value:
    """D_f from the student's samples: the mean of f(r) over ln r = ln p_teacher - ln p_student, with E_q[r] = 1.

    The upper tail of f(r) is fitted with a generalised Pareto law. Its shape k tells which moments exist: the mean is
    infinite from k = 1 on, and above k = 0.7 no practical number of samples gives it (Vehtari et al. 2024), so there
    the answer is the reason. Up to k = 0.5 `error` is the usual standard error; above, it is too small.

    Source: Vehtari, Simpson, Gelman, Yao and Gabry 2024, JMLR 25(72), section 3.
    """
    n = len(log_ratio)
    if n < _LEAST_SAMPLES:
        return _none(f"{n} samples are too few to tell whether the mean exists; {_LEAST_SAMPLES} or more are needed")
    log_ratio = log_ratio.double()
    terms = divergence.perspective(log_ratio.clamp(min=_NO_MASS), torch.zeros_like(log_ratio))
    if not bool((terms.abs() < _BEYOND).all()):
        return _none("infinite: beyond all numbers at one of the samples")
    shape = _tail_shape(terms)
    if shape > _WORST_TAIL:
        return _none(f"infinite, or out of reach of {n} samples: the tail of f(r) has shape {shape:.2f}")
    return Value(terms.mean().item(), terms.std().item() / math.sqrt(n), "")


def _none(reason: str) -> Value:
    return Value(None, 0.0, reason)


def _rings(integrand: Tensor) -> tuple[float, float]:
    """Sums of the integrand over the grid's outermost ring and over the next one, each 1/64 of every axis wide."""
    depth = torch.full_like(integrand, _RIM, dtype=torch.long)
    for axis, length in enumerate(integrand.shape):
        place = torch.arange(length)
        from_end = torch.minimum(place, length - 1 - place) // max(length // _RIM, 1)
        depth = torch.minimum(depth, from_end.reshape([-1 if i == axis else 1 for i in range(integrand.dim())]))
    return integrand[depth == 0].abs().sum().item(), integrand[depth == 1].abs().sum().item()


def _tail_shape(terms: Tensor) -> float:
    """Shape k of the generalised Pareto law of the largest min(n / 5, 3 sqrt n) terms; minus infinity where they do
    not differ."""
    count = int(min(len(terms) / 5, 3 * math.sqrt(len(terms))))
    largest = terms.sort(descending=True).values[: count + 1]
    above = (largest[:-1] - largest[-1]).numpy()
    if above.max() <= 0:
        return -math.inf
    shape, _, _ = stats.genpareto.fit(above / above.mean(), floc=0)
    return float(shape)
