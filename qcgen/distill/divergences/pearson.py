"""Pearson chi-square divergence, half the integral of (p - q)^2 / q."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class Pearson:
    """f(r) = (r - 1)^2 / 2, h(r) = r^2: strongly covering, very high variance; infinite where q has thinner tails.

    Source: Pearson 1900; the general form in Csiszar 1967.
    """

    name: ClassVar[str] = "pearson"
    facts: ClassVar[Facts] = Facts(
        generator="(r - 1)**2/2",
        weight="r**2",
        tilt=2.0,
        limits=(0.0, float("inf")),
        bound=float("inf"),
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return ((log_p - log_q / 2).exp() - (log_q / 2).exp()).square() / 2

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (2 * log_ratio).exp()
