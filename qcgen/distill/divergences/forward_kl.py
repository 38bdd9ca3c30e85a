"""Forward Kullback-Leibler divergence, KL(teacher || student)."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor


class ForwardKl:
    """f(r) = r ln r, h(r) = r: mode-covering, high variance.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "forward_kl"
    needs_ratio: ClassVar[bool] = True
    mode_seeking: ClassVar[bool] = False

    def f(self, ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return ratio * ratio.log()

    def weight(self, log_ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return log_ratio.exp()
