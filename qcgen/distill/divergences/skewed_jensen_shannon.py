"""Skewed Jensen-Shannon divergence, with the mixture a p + (1 - a) q."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class SkewedJensenShannon:
    """h(r) = r / (a r + 1 - a): forward KL as a goes to 0, reverse KL as a goes to 1; the weight is at most 1 / a.

    Args:
        skew: the teacher's share a in the mixture a p + (1 - a) q, 0.01 to 0.99.

    Raises:
        SpecError: `skew` out of its range.

    Source: Lin 1991, IEEE Transactions on Information Theory 37(1); scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "skewed_jensen_shannon"
    skew: float = 0.5

    def __post_init__(self) -> None:
        if not 0.01 <= self.skew <= 0.99:
            raise SpecError(f"skew: must be 0.01 to 0.99 (got {self.skew!r}). Cure: 0.5 is the symmetric one.")

    @property
    def facts(self) -> Facts:
        a = self.skew
        m = f"({a}*r + 1 - {a})"
        return Facts(
            generator=f"({a}*r*log(r) - {m}*log{m})/({a}*(1 - {a}))",
            weight=f"r/{m}",
            tilt=1 - a,
            limits=(0.0, 1 / a),
            bound=-math.log(a) / (1 - a) - math.log(1 - a) / a,
        )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        a = self.skew
        log_m = torch.logaddexp(log_p + math.log(a), log_q + math.log(1 - a))
        return log_p.exp() * (log_p - log_m) / (1 - a) + log_q.exp() * (log_q - log_m) / a

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        a = self.skew
        return (log_ratio - torch.logaddexp(log_ratio + math.log(a), torch.full_like(log_ratio, math.log(1 - a)))).exp()
