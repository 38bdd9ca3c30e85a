"""256-bit perceptual hashes, batched."""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from scipy import sparse
from torch import Tensor

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
    return torch.stack([torch.from_numpy(_shrunk(one)) for one in images.cpu()])


def _shrunk(image: UInt8[Tensor, "3 h w"]) -> npt.NDArray[np.float64]:
    red, green, blue = (channel.double() for channel in image)
    luma = red.mul_(0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114).numpy()
    # Each pixel counts for two cells along an axis at most: a sparse product reads the picture once.
    down = _shrinking(luma.shape[0]) @ luma
    return np.ascontiguousarray((_shrinking(luma.shape[1]) @ down.T).T)


@lru_cache(maxsize=64)
def _shrinking(length: int) -> sparse.csr_array:
    """Bilinear resampling along an axis with antialiasing, as `interpolate(antialias=True)`: triangles of two cells."""
    scale = length / _SIDE
    centres = scale * (np.arange(_SIDE) + 0.5)
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = (1 - distance).clip(min=0)
    return sparse.csr_array(weights / weights.sum(1, keepdims=True))


def low_frequencies(luma: Float[Tensor, "b 64 64"]) -> Float[Tensor, "b 16 16"]:
    """The lowest 16x16 coefficients of the orthonormal DCT-II; what rounding leaves of a zero is set to zero."""
    position = torch.arange(_SIDE, dtype=torch.float64) + 0.5
    frequency = torch.arange(_LOW, dtype=torch.float64)[:, None]
    basis = torch.cos(math.pi * frequency * position / _SIDE) * math.sqrt(2 / _SIDE)
    basis[0] /= math.sqrt(2)
    low = torch.einsum("ui,bij,vj->buv", basis, luma, basis)
    return torch.where(low.abs() < 1e-6, 0.0, low)
