"""A picture that fades to one flat colour."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes


class ContrastDown:
    """Distance from the picture's mean times a share."""

    name: ClassVar[str] = "contrast_down"
    unit: ClassVar[str] = "share left"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.20, 0.10, 0.05, 0.02, 0.0)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        mean = image.float().mean()
        return Corrupted(to_codes(mean + amount * (image.float() - mean)))
