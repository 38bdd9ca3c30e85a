"""Skewed reverse Kullback-Leibler divergence, KL(q || a p + (1 - a) q)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class SkewedReverseKl:
    """h(r) = r^2 / (a r + 1 - a)^2: reverse KL as a goes to 1, Pearson as a goes to 0; the weight is at most 1 / a^2.

    Args:
        skew: the teacher's share a in the mixture a p + (1 - a) q, 0.01 to 0.99.

    Raises:
        SpecError: `skew` out of its range.

    Source: Lee 1999; Ko et al. 2024, arXiv:2402.03898; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "skewed_reverse_kl"
    skew: float = 0.9

    def __post_init__(self) -> None:
        if not 0.01 <= self.skew <= 0.99:
            raise SpecError(f"skew: must be 0.01 to 0.99 (got {self.skew!r}). Cure: 0.9 stays near reverse KL.")

    @property
    def facts(self) -> Facts:
        a = self.skew
        m = f"({a}*r + 1 - {a})"
        return Facts(
            generator=f"-log{m}/{a}**2",
            weight=f"r**2/{m}**2",
            tilt=2 * (1 - a),
            limits=(0.0, 1 / a**2),
            bound=-math.log(1 - a) / a**2,
        )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        a = self.skew
        log_m = torch.logaddexp(log_p + math.log(a), log_q + math.log(1 - a))
        return log_q.exp() * (log_q - log_m) / a**2 + (log_p.exp() - log_q.exp()) / a

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        a = self.skew
        log_m = torch.logaddexp(log_ratio + math.log(a), torch.full_like(log_ratio, math.log(1 - a)))
        return (2 * (log_ratio - log_m)).exp()
