"""Blocks of a strong compression."""

import io
from typing import ClassVar

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted


class Jpeg:
    """Written as JPEG (4:2:0) and read again."""

    name: ClassVar[str] = "jpeg"
    unit: ClassVar[str] = "quality"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (60, 40, 25, 15, 8)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        held = io.BytesIO()
        picture = PIL.Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        picture.save(held, "jpeg", quality=round(amount), subsampling="4:2:0")
        with PIL.Image.open(held) as read:
            codes = np.array(read.convert("RGB"))
        return Corrupted(torch.from_numpy(codes).permute(2, 0, 1).contiguous())
