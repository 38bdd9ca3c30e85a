"""Contrast that clips."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes


class ContrastUp:
    """Distance from the picture's mean times a factor."""

    name: ClassVar[str] = "contrast_up"
    unit: ClassVar[str] = "factor"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (1.3, 1.7, 2.2, 2.8, 3.5)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        mean = image.float().mean()
        return Corrupted(to_codes(mean + amount * (image.float() - mean)))
