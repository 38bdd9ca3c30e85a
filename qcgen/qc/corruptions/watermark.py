"""A stock agency's mark."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted
from qcgen.qc.lettering import write
from qcgen.qc.region import set_in

_WORD = "SAMPLE"


class Watermark:
    """Large light letters across the picture, so opaque."""

    name: ClassVar[str] = "watermark"
    unit: ClassVar[str] = "opacity"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.08, 0.15, 0.25, 0.40, 0.60)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        height, width = image.shape[1:]
        size_px = max(8, round(width / len(_WORD) * 1.3))
        ink = amount * write(_WORD, size_px=size_px, height=height, width=width, generator=generator)
        inside = ink > 0
        values = image.float()
        # Light on dark and grey on light: the mark of an agency is seen on white as well.
        tone = torch.where(values.mean(0) > 200, 150.0, 255.0)
        return set_in(image, values * (1 - ink) + tone * ink, inside)
