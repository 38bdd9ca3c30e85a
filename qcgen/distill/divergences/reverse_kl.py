"""Reverse Kullback-Leibler divergence, KL(student || teacher): plain distribution matching."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor


class ReverseKl:
    """f(r) = -ln r, h(r) = 1: mode-seeking, adds no variance.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "reverse_kl"
    needs_ratio: ClassVar[bool] = False
    mode_seeking: ClassVar[bool] = True

    def f(self, ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return -ratio.log()

    def weight(self, log_ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return torch.ones_like(log_ratio)
