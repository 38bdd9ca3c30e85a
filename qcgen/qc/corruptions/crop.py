"""A thing that the frame cuts off."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.corruption import Corrupted, to_codes


class Crop:
    """The middle of the picture, scaled back to its size."""

    name: ClassVar[str] = "crop"
    unit: ClassVar[str] = "share of each side"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.75, 0.65, 0.55, 0.45, 0.35)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        height, width = image.shape[1:]
        high, wide = max(1, round(height * amount)), max(1, round(width * amount))
        top, left = (height - high) // 2, (width - wide) // 2
        inner = image[None, :, top : top + high, left : left + wide].float()
        scaled = F.interpolate(inner, size=(height, width), mode="bicubic", antialias=True)
        return Corrupted(to_codes(scaled[0]))
