"""Squared Hellinger distance."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class SquaredHellinger:
    """f(r) = 2 (1 - sqrt r)^2, h(r) = sqrt r: bounded, yet with a weight that grows without limit.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "squared_hellinger"
    facts: ClassVar[Facts] = Facts(
        generator="2*(1 - sqrt(r))**2",
        weight="sqrt(r)",
        tilt=0.5,
        limits=(0.0, float("inf")),
        bound=4.0,
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 2 * ((log_p / 2).exp() - (log_q / 2).exp()).square()

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (log_ratio / 2).exp()
