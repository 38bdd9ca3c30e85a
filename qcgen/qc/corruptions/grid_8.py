"""The pattern of a decoder with a stride of 8."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes


class Grid8:
    """One row and one column in eight is brighter."""

    name: ClassVar[str] = "grid_8"
    unit: ClassVar[str] = "amplitude, codes"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (1, 2, 4, 7, 12)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        lines = [(torch.arange(length) % 8 == 0).float() for length in image.shape[1:]]
        # Half of the amplitude either side of the mean would be lost to rounding at the mildest: the lines carry all.
        return Corrupted(to_codes(image.float() + amount * torch.maximum(lines[0][:, None], lines[1][None, :])))
