"""What a divergence is."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a divergence with its parameters filled in; every entry is checked against the code.

    Attributes:
        generator: f(r) as text in sympy's syntax, up to a multiple of r - 1, which changes neither D_f nor h.
        weight: h(r) as text in sympy's syntax.
        tilt: d ln h / d ln r at r = 1: the exponent of the power r^tilt that weighs like this divergence near
            equality.
        limits: h where the student is alone (r = 0) and where the teacher is alone (r = infinity).
        bound: the largest D_f there is, reached by densities that do not overlap; infinite where there is none.
    """

    generator: str
    weight: str
    tilt: float
    limits: tuple[float, float]
    bound: float


class Divergence(Protocol):
    """D_f(p || q) = E_q[f(r)] with r = p / q = p_teacher / p_student, f convex, f(1) = f'(1) = 0, f''(1) = 1.

    One scale for all makes shares of a mixture comparable: near p = q every D_f is half of chi-square. f'(1) = 0 makes
    f non-negative; it differs from the textbooks' forms by a multiple of r - 1.

    Attributes:
        name: the YAML name; the class's fields, if it has any, are the YAML's parameters.
    """

    name: ClassVar[str]

    @property
    def facts(self) -> Facts: ...

    def perspective(self, log_p: Float[Tensor, "*n"], log_q: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """q f(p / q), the integrand of D_f, from log densities; `perspective(log_r, 0)` is f(r). Non-negative."""
        ...

    def weight(self, log_ratio: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """h(r) = r^2 f''(r) from log r (natural log), h(1) = 1; finite in float64 for |log r| <= 60."""
        ...
