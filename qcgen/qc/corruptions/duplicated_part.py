"""A part that is there twice."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, draw, pick_sign
from qcgen.qc.region import busiest, falloff, set_in, side_of

_APART = 0.8


class DuplicatedPart:
    """The busiest disc again, beside itself, with a soft rim."""

    name: ClassVar[str] = "duplicated_part"
    unit: ClassVar[str] = "share of the area"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.005, 0.01, 0.02, 0.05, 0.10)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        side = side_of(image, amount)
        top, left = busiest(image, side, generator)
        height, width = image.shape[1:]
        to_top, to_left = top, left
        if draw(generator, 0, 1):
            to_top = _beside(top, side, height, generator)
        else:
            to_left = _beside(left, side, width, generator)
        weight = falloff(image, to_top, to_left, side)
        blend = (3 * weight).clamp(max=1)
        copy = image.float().roll((to_top - top, to_left - left), (1, 2))
        return set_in(image, blend * copy + (1 - blend) * image.float(), weight > 0)


def _beside(at: int, side: int, length: int, generator: torch.Generator) -> int:
    """A place most of a side away, on the drawn side if that is inside, else on the other."""
    step = round(_APART * side) * pick_sign(generator)
    return next((place for place in (at + step, at - step) if 0 <= place <= length - side), (at + side) % length)
