"""A camera or a thing that moved."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.corruption import Corrupted, draw, to_codes


class MotionBlur:
    """Mean along a line, in one of four directions."""

    name: ClassVar[str] = "motion_blur"
    unit: ClassVar[str] = "length, px"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (3, 5, 9, 13, 19)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        length = round(amount)
        lines = torch.eye(length), torch.eye(length).flip(1), torch.zeros(length, length), torch.zeros(length, length)
        lines[2][length // 2], lines[3][:, length // 2] = 1.0, 1.0
        kernel = lines[draw(generator, 0, 3)] / length
        padded = F.pad(image.float()[:, None], (length // 2,) * 4, mode="replicate")
        return Corrupted(to_codes(F.conv2d(padded, kernel[None, None])[:, 0]))
