"""A ground that is not as bright as it was."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes
from qcgen.qc.region import background

_NEAR = 26.0


class BackgroundDarkened:
    """Pixels near the frame's median colour get darker; where there are none, the frame itself."""

    name: ClassVar[str] = "background_darkened"
    unit: ClassVar[str] = "codes"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (3, 7, 12, 20, 35)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        values = image.float()
        ground = ((values - background(image)[:, None, None]).abs().amax(0) < _NEAR) & (values.mean(0) > 0)
        if not ground.any():
            ground = torch.ones_like(ground)
            ground[1:-1, 1:-1] = False
        return Corrupted(to_codes(values - amount * ground))
