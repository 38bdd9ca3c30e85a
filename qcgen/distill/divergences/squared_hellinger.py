"""Squared Hellinger distance."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor


class SquaredHellinger:
    """f(r) = 4 (1 - sqrt r), h(r) = sqrt r.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "squared_hellinger"
    needs_ratio: ClassVar[bool] = True
    mode_seeking: ClassVar[bool] = False

    def f(self, ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return 4 * (1 - ratio.sqrt())

    def weight(self, log_ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return (log_ratio / 2).exp()
