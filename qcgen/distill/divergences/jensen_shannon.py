"""Jensen-Shannon divergence."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor


class JensenShannon:
    """f(r) = 2 [r ln r - (r + 1) ln((r + 1) / 2)], h(r) = 2 r / (1 + r), bounded by 2.

    Source: Xu et al. 2025, arXiv:2502.15681, table 1; scaled to f''(1) = 1.
    """

    name: ClassVar[str] = "jensen_shannon"
    needs_ratio: ClassVar[bool] = True
    mode_seeking: ClassVar[bool] = False

    def f(self, ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return 2 * (ratio * ratio.log() - (ratio + 1) * ((ratio + 1) / 2).log())

    def weight(self, log_ratio: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        return 2 * torch.sigmoid(log_ratio)
