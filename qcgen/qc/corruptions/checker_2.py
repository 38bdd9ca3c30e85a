"""The finest up-sampling pattern."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.qc.corruption import Corrupted, to_codes


class Checker2:
    """A checker of period 2 over the whole picture."""

    name: ClassVar[str] = "checker_2"
    unit: ClassVar[str] = "amplitude, codes"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (1, 2, 4, 7, 12)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        height, width = image.shape[1:]
        odd = (torch.arange(height)[:, None] + torch.arange(width)[None, :]) % 2
        return Corrupted(to_codes(image.float() + amount * (2 * odd - 1)))
