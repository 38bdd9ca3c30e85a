"""Triangular discrimination (Le Cam's distance up to a constant)."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class Triangular:
    """f(r) = (r - 1)^2 / (r + 1), h(r) = 8 r^2 / (1 + r)^3: down-weights both tails; bounded by 2; can stall.

    Source: Topsoe 2000, IEEE Transactions on Information Theory 46(4).
    """

    name: ClassVar[str] = "triangular"
    facts: ClassVar[Facts] = Facts(
        generator="(r - 1)**2/(r + 1)",
        weight="8*r**2/(1 + r)**3",
        tilt=0.5,
        limits=(0.0, 0.0),
        bound=2.0,
    )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (log_p.exp() - log_q.exp()) * ((log_p - log_q) / 2).tanh()

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return 8 * (2 * F.logsigmoid(log_ratio) + F.logsigmoid(-log_ratio)).exp()
