"""Two tiles that do not match."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, draw, pick_sign, to_codes

TILE_PX = 64
"""Side of the tiles that a seam may lie between; who tests for seams at known lines is told."""


class Seam:
    """From the edge of one tile on, drawn among those inside, everything is brighter or darker."""

    name: ClassVar[str] = "seam"
    unit: ClassVar[str] = "step, codes"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (2, 4, 7, 12, 20)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        width = image.shape[2]
        at = TILE_PX * draw(generator, 1, (width - 1) // TILE_PX) if width > TILE_PX else width // 2
        sign = pick_sign(generator)
        values = image.float()
        values[:, :, at:] += sign * amount
        return Corrupted(to_codes(values))
