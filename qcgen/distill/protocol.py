"""What a divergence is."""

from typing import ClassVar, Protocol

from jaxtyping import Float
from torch import Tensor


class Divergence(Protocol):
    """D_f(p || q) = E_q[f(r)] with r = p_teacher / p_student, f convex, f(1) = 0, scaled so that f''(1) = 1.

    Attributes:
        name: the YAML name.
        needs_ratio: whether the weight depends on r at all.
        mode_seeking: whether the weight falls where the teacher is denser than the student.
    """

    name: ClassVar[str]
    needs_ratio: ClassVar[bool]
    mode_seeking: ClassVar[bool]

    def f(self, ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]: ...

    def weight(self, log_ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """h(r) = r^2 f''(r) from log r (natural log; clamp before calling)."""
        ...
