"""A part that is bent."""

import math
from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted
from qcgen.qc.region import busiest, falloff, moved, set_in, side_of

_REACH = 0.2


class Warp:
    """A smooth shift, strongest in the middle of a disc, by a fifth of its width."""

    name: ClassVar[str] = "warp"
    unit: ClassVar[str] = "share of the area"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.005, 0.01, 0.02, 0.05, 0.10)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        side = side_of(image, amount)
        top, left = busiest(image, side, generator)
        weight = falloff(image, top, left, side)
        angle = float(torch.rand(1, generator=generator)) * 2 * math.pi
        shift = _REACH * side * weight
        values = moved(image, math.sin(angle) * shift, math.cos(angle) * shift)
        return set_in(image, values, weight > 0)
