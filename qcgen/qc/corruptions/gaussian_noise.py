"""Grain."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes


class GaussianNoise:
    """Independent gaussian noise in every channel."""

    name: ClassVar[str] = "gaussian_noise"
    unit: ClassVar[str] = "sigma, codes"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (2, 4, 8, 14, 24)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        return Corrupted(to_codes(image.float() + amount * torch.randn(image.shape, generator=generator)))
