"""Softened reverse Kullback-Leibler divergence."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor


class SoftenedReverseKl:
    """f(r) = 2 (r + 1) ln(1/2 + 1/(2 r)), h(r) = 2 / (1 + r): more mode-seeking than reverse KL.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "softened_reverse_kl"
    needs_ratio: ClassVar[bool] = True
    mode_seeking: ClassVar[bool] = True

    def f(self, ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return 2 * (ratio + 1) * (0.5 + 0.5 / ratio).log()

    def weight(self, log_ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return 2 * torch.sigmoid(-log_ratio)
