"""Skewed forward Kullback-Leibler divergence, KL(p || a p + (1 - a) q)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class SkewedForwardKl:
    """h(r) = r / (a r + 1 - a)^2: covers like forward KL, but the weight is bounded and vanishes on both sides.

    Args:
        skew: the teacher's share a in the mixture a p + (1 - a) q, 0.01 to 0.99.

    Raises:
        SpecError: `skew` out of its range.

    Source: Lee 1999; Ko et al. 2024, arXiv:2402.03898; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "skewed_forward_kl"
    skew: float = 0.1

    def __post_init__(self) -> None:
        if not 0.01 <= self.skew <= 0.99:
            raise SpecError(f"skew: must be 0.01 to 0.99 (got {self.skew!r}). Cure: 0.1 stays near forward KL.")

    @property
    def facts(self) -> Facts:
        a = self.skew
        m = f"({a}*r + 1 - {a})"
        return Facts(
            generator=f"r*log(r/{m})/(1 - {a})**2",
            weight=f"r/{m}**2",
            tilt=1 - 2 * a,
            limits=(0.0, 0.0),
            bound=-math.log(a) / (1 - a) ** 2,
        )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        a = self.skew
        log_m = torch.logaddexp(log_p + math.log(a), log_q + math.log(1 - a))
        return log_p.exp() * (log_p - log_m) / (1 - a) ** 2 - (log_p.exp() - log_q.exp()) / (1 - a)

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        a = self.skew
        log_m = torch.logaddexp(log_ratio + math.log(a), torch.full_like(log_ratio, math.log(1 - a)))
        return (log_ratio - 2 * log_m).exp()
