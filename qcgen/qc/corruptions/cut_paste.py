"""A patch of another place, with hard edges."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, draw
from qcgen.qc.region import busiest, set_in, side_of, square


class CutPaste:
    """A square from elsewhere, turned by a quarter, over the busiest place."""

    name: ClassVar[str] = "cut_paste"
    unit: ClassVar[str] = "share of the area"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.005, 0.01, 0.02, 0.05, 0.10)
    local: ClassVar[bool] = True

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        side = side_of(image, amount)
        top, left = busiest(image, side, generator)
        height, width = image.shape[1:]
        from_top, from_left = draw(generator, 0, height - side), draw(generator, 0, width - side)
        values = image.float()
        patch = values[:, from_top : from_top + side, from_left : from_left + side].rot90(draw(generator, 1, 3), (1, 2))
        values[:, top : top + side, left : left + side] = patch.clone()
        return set_in(image, values, square(image, top, left, side))
