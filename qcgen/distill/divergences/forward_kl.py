"""Forward Kullback-Leibler divergence, KL(teacher || student)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class ForwardKl:
    """f(r) = r ln r, h(r) = r: mode-covering, high variance.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "forward_kl"
    facts: ClassVar[Facts] = Facts(
        generator="r*log(r)",
        weight="r",
        tilt=1.0,
        limits=(0.0, float("inf")),
        bound=float("inf"),
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return log_p.exp() * (log_p - log_q) - log_p.exp() + log_q.exp()

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return log_ratio.exp()
