"""A part that is gone."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted
from qcgen.qc.region import background, busiest, falloff, set_in, side_of


class MissingPart:
    """The busiest disc filled with the ground's colour, with a soft rim."""

    name: ClassVar[str] = "missing_part"
    unit: ClassVar[str] = "share of the area"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.005, 0.01, 0.02, 0.05, 0.10)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        side = side_of(image, amount)
        top, left = busiest(image, side, generator)
        weight = falloff(image, top, left, side)
        blend = (3 * weight).clamp(max=1)
        return set_in(image, blend * background(image)[:, None, None] + (1 - blend) * image.float(), weight > 0)
