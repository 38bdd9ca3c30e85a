"""Neyman chi-square divergence, half the integral of (p - q)^2 / p."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class Neyman:
    """f(r) = (1 - r)^2 / (2 r), h(r) = 1 / r: the strongest mode-seeking; infinite where q has fatter tails.

    Source: Neyman 1949; the general form in Csiszar 1967.
    """

    name: ClassVar[str] = "neyman"
    facts: ClassVar[Facts] = Facts(
        generator="(1 - r)**2/(2*r)",
        weight="1/r",
        tilt=-1.0,
        limits=(float("inf"), 0.0),
        bound=float("inf"),
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return ((log_q - log_p / 2).exp() - (log_p / 2).exp()).square() / 2

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (-log_ratio).exp()
