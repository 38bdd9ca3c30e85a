"""Two tiles that do not match."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, draw, pick_sign, to_codes


class Seam:
    """From one column, a multiple of 8 in the middle half, everything is brighter or darker."""

    name: ClassVar[str] = "seam"
    unit: ClassVar[str] = "step, codes"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (2, 4, 7, 12, 20)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        width = image.shape[2]
        at = 8 * draw(generator, -(-width // 32), 3 * width // 32) if width >= 32 else width // 2
        sign = pick_sign(generator)
        values = image.float()
        values[:, :, at:] += sign * amount
        return Corrupted(to_codes(values))
