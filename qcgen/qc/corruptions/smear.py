"""A part that is wiped."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.corruption import Corrupted, draw
from qcgen.qc.region import busiest, falloff, set_in, side_of


class Smear:
    """The mean along a line as long as the disc is wide, blended in towards its middle."""

    name: ClassVar[str] = "smear"
    unit: ClassVar[str] = "share of the area"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.005, 0.01, 0.02, 0.05, 0.10)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        side = side_of(image, amount)
        top, left = busiest(image, side, generator)
        weight = falloff(image, top, left, side)
        length = side // 2 * 2 + 1
        kernel = torch.full((1, 1, 1, length), 1 / length)
        if draw(generator, 0, 1):
            kernel = kernel.transpose(2, 3)
        margins = (kernel.shape[3] // 2,) * 2 + (kernel.shape[2] // 2,) * 2
        wiped = F.conv2d(F.pad(image.float()[:, None], margins, mode="replicate"), kernel)[:, 0]
        blend = (2 * weight).clamp(max=1)
        return set_in(image, blend * wiped + (1 - blend) * image.float(), weight > 0)
