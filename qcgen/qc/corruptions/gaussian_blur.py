"""A soft picture."""

from typing import ClassVar

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.corruption import Corrupted, to_codes


class GaussianBlur:
    """Gaussian blur."""

    name: ClassVar[str] = "gaussian_blur"
    unit: ClassVar[str] = "sigma, px"
    parameters: ClassVar[tuple[float, float, float, float, float]] = (0.6, 1.0, 1.6, 2.5, 4.0)
    local: ClassVar[bool] = False

    def apply(self, image: UInt8[Tensor, "3 h w"], amount: float, generator: torch.Generator) -> Corrupted:
        radius = max(2, round(3 * amount))
        axis = torch.arange(-radius, radius + 1, dtype=torch.float32)
        kernel = torch.exp(-(axis**2) / (2 * amount**2))
        kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
        # Replicated, not reflected: a reflection needs pictures larger than the radius.
        padded = F.pad(image.float()[:, None], (radius,) * 4, mode="replicate")
        return Corrupted(to_codes(F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3))[:, 0]))
