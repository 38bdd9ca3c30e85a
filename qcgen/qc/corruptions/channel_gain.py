"""A tint over the whole picture."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, draw, to_codes


class ChannelGain:
    """One channel, drawn, loses part of its gain."""

    name: ClassVar[str] = "channel_gain"
    unit: ClassVar[str] = "share of the gain"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.02, 0.04, 0.07, 0.11, 0.16)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        gains = torch.ones(3, 1, 1)
        gains[draw(generator, 0, 2)] = 1 - amount
        return Corrupted(to_codes(image.float() * gains))
