"""Colours that are too strong."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes


class Oversaturation:
    """Distance from grey times a factor."""

    name: ClassVar[str] = "oversaturation"
    unit: ClassVar[str] = "factor"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (1.4, 1.8, 2.4, 3.5, 5.0)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        weights = torch.tensor([0.299, 0.587, 0.114])
        luma = torch.einsum("chw,c->hw", image.float(), weights)
        return Corrupted(to_codes(luma + amount * (image.float() - luma)))
