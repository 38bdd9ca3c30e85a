"""Jeffreys divergence, KL(p || q) + KL(q || p), halved."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class Jeffreys:
    """f(r) = (r - 1) ln r / 2, h(r) = (1 + r) / 2: covers, and never lets go of a sample.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "jeffreys"
    facts: ClassVar[Facts] = Facts(
        generator="(r - 1)*log(r)/2",
        weight="(1 + r)/2",
        tilt=0.5,
        limits=(0.5, float("inf")),
        bound=float("inf"),
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (log_p.exp() - log_q.exp()) * (log_p - log_q) / 2

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (1 + log_ratio.exp()) / 2
