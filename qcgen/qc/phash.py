"""256-bit perceptual hashes, batched."""

import math

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

_SIDE = 64
_LOW = 16

Hashes = npt.NDArray[np.uint64]


def phash(images: UInt8[Tensor, "b 3 h w"]) -> list[str]:
    """64 hex digits a picture: signs of the 16x16 lowest DCT coefficients of luma at 64x64 against their median.

    In float64 and per picture, so that a hash does not depend on the batch it was made in.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".
    """
    return hash_luma(luma_64(images))


def hash_luma(luma: Float[Tensor, "b 64 64"]) -> list[str]:
    """`phash` of what `luma_64` gave."""
    low = low_frequencies(luma)
    bits = low.flatten(1) > low.flatten(1).quantile(0.5, dim=1, keepdim=True)
    packed = np.packbits(bits.numpy(), axis=1)
    return [row.tobytes().hex() for row in packed]


def luma_64(images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 64 64"]:
    """Rec. 601 luma, shrunk (or stretched) to 64x64."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    luma = (images.cpu().double() * weights[:, None, None]).sum(1, keepdim=True)
    return F.interpolate(luma, size=(_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False)[:, 0]


def low_frequencies(luma: Float[Tensor, "b 64 64"]) -> Float[Tensor, "b 16 16"]:
    """The lowest 16x16 coefficients of the orthonormal DCT-II; what rounding leaves of a zero is set to zero."""
    position = torch.arange(_SIDE, dtype=torch.float64) + 0.5
    frequency = torch.arange(_LOW, dtype=torch.float64)[:, None]
    basis = torch.cos(math.pi * frequency * position / _SIDE) * math.sqrt(2 / _SIDE)
    basis[0] /= math.sqrt(2)
    low = torch.einsum("ui,bij,vj->buv", basis, luma, basis)
    return torch.where(low.abs() < 1e-6, 0.0, low)
