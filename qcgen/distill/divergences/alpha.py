"""The alpha family: one knob from mode-seeking to mode-covering."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.distill.protocol import Facts


@dataclass(frozen=True, slots=True)
class Alpha:
    """f(r) = (r^a - a r - (1 - a)) / (a (a - 1)), h(r) = r^a.

    a = -1 Neyman, 0 reverse KL, 1/2 squared Hellinger, 1 forward KL, 2 Pearson; Amari's alpha is 2 a - 1.

    Args:
        alpha: a, from -1 to 2.

    Raises:
        SpecError: `alpha` out of its range.

    Source: Amari 1985; Cressie and Read 1984.
    """

    name: ClassVar[str] = "alpha"
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not -1 <= self.alpha <= 2:
            raise SpecError(f"alpha: must be -1 to 2 (got {self.alpha!r}). Cure: 0 seeks, 0.5 is balanced, 1 covers.")

    @property
    def facts(self) -> Facts:
        a = self.alpha
        ends = {0.0: "-log(r)", 1.0: "r*log(r)"}
        infinity = float("inf")
        return Facts(
            generator=ends.get(a, f"(r**({a}) - ({a})*r - (1 - ({a})))/(({a})*(({a}) - 1))"),
            weight=f"r**({a})",
            tilt=a,
            limits=(infinity, 0.0) if a < 0 else (0.0, infinity) if a > 0 else (1.0, 1.0),
            bound=1 / (a * (1 - a)) if 0 < a < 1 else infinity,
        )

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return _near(self.alpha, log_p, log_q) if self.alpha <= 0.5 else _near(1 - self.alpha, log_q, log_p)

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        return (self.alpha * log_ratio).exp()


def _near(a: float, log_p: Tensor, log_q: Tensor) -> Tensor:
    """q f(p / q) in the form whose limit is at a = 0; with p and q swapped, and 1 - a for a, it is at a = 1."""
    # Below 1e-8 the difference quotient loses more digits than its limit does.
    power = ((a * log_p + (1 - a) * log_q).exp() - log_q.exp()) / a if abs(a) > 1e-8 else log_q.exp() * (log_p - log_q)
    return (power - (log_p.exp() - log_q.exp())) / (a - 1)
