"""Letters that nobody asked for."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, draw
from qcgen.qc.lettering import write
from qcgen.qc.region import set_in


class TextOverlay:
    """Eight drawn capitals in black or white, whichever stands out; they are two thirds as high as their type."""

    name: ClassVar[str] = "text_overlay"
    unit: ClassVar[str] = "height of the type, share"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.03, 0.04, 0.06, 0.09, 0.13)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        height, width = image.shape[1:]
        letters = "".join(chr(ord("A") + draw(generator, 0, 25)) for _ in range(8))
        ink = write(letters, size_px=max(3, round(amount * height)), height=height, width=width, generator=generator)
        inside = ink > 0
        dark = float(image.float()[:, inside].mean()) > 127
        values = image.float() * (1 - ink) + (0.0 if dark else 255.0) * ink
        return set_in(image, values, inside)
