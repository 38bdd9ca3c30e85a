"""A part that is twisted."""

import math
from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, pick_sign
from qcgen.qc.region import busiest, falloff, moved, set_in, side_of

_TURN = 4 * math.pi / 3


class Swirl:
    """A turn by up to two thirds of a circle around the middle of a disc."""

    name: ClassVar[str] = "swirl"
    unit: ClassVar[str] = "share of the area"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.005, 0.01, 0.02, 0.05, 0.10)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        side = side_of(image, amount)
        top, left = busiest(image, side, generator)
        weight = falloff(image, top, left, side)
        angle = pick_sign(generator) * _TURN * weight
        height, width = image.shape[1:]
        y = torch.arange(height)[:, None] - top - (side - 1) / 2
        x = torch.arange(width)[None, :] - left - (side - 1) / 2
        down = y * torch.cos(angle) - x * torch.sin(angle) - y
        across = y * torch.sin(angle) + x * torch.cos(angle) - x
        return set_in(image, moved(image, down, across), weight > 0)
