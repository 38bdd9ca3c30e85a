"""Too few levels."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes


class Posterise:
    """Each channel rounded to so many levels."""

    name: ClassVar[str] = "posterise"
    unit: ClassVar[str] = "levels"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (64, 40, 24, 16, 8)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        step = 255 / (amount - 1)
        return Corrupted(to_codes((image.float() / step).round() * step))
