"""Planted defects with five severities: pure functions from clean pictures to spoiled ones, seeded per picture."""

from collections.abc import Callable

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

Images = UInt8[Tensor, "b 3 h w"]
Defect = Callable[[Images, int], Images]


def blur(images: Images, severity: int) -> Images:
    sigma = (0.6, 1.0, 1.6, 2.5, 4.0)[severity - 1]
    radius = max(2, round(3 * sigma))
    axis = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).repeat(3, 1, 1, 1)
    padded = F.pad(images.float(), (radius,) * 4, mode="reflect")
    rows = F.conv2d(padded, kernel, groups=3)
    return _to_codes(F.conv2d(rows, kernel.transpose(2, 3), groups=3))


def noise(images: Images, severity: int) -> Images:
    sigma = (2.0, 4.0, 8.0, 14.0, 24.0)[severity - 1]
    return _to_codes(images.float() + sigma * _normal(images, severity))


def contrast(images: Images, severity: int) -> Images:
    """Contrast boost, which clips."""
    factor = (1.3, 1.7, 2.2, 2.8, 3.5)[severity - 1]
    return _stretch(images, factor)


def fade(images: Images, severity: int) -> Images:
    """Contrast down to nothing."""
    return _stretch(images, (0.20, 0.10, 0.05, 0.02, 0.0)[severity - 1])


def cast(images: Images, severity: int) -> Images:
    """One channel, another for each picture, loses 4 to 30 % of its gain."""
    gain = 1 - (0.04, 0.08, 0.14, 0.20, 0.30)[severity - 1]
    gains = torch.ones(len(images), 3, 1, 1)
    gains[torch.arange(len(images)), torch.arange(len(images)) % 3] = gain
    return _to_codes(images.float() * gains)


def crop(images: Images, severity: int) -> Images:
    """The middle 75 to 35 % of each side, scaled back."""
    share = (0.75, 0.65, 0.55, 0.45, 0.35)[severity - 1]
    height, width = images.shape[-2:]
    top, left = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
    inner = images[:, :, top : height - top, left : width - left].float()
    return _to_codes(F.interpolate(inner, size=(height, width), mode="bicubic", antialias=True))


def grid_2(images: Images, severity: int) -> Images:
    return _grid(images, severity, period=2)


def grid_8(images: Images, severity: int) -> Images:
    return _grid(images, severity, period=8)


def _grid(images: Images, severity: int, *, period: int) -> Images:
    amplitude = (1.0, 2.0, 4.0, 7.0, 12.0)[severity - 1]
    axis = torch.arange(images.shape[-1]) % period == 0
    lines = axis.float() - axis.float().mean()
    # The same peak to peak for every period: half the amplitude either side of the mean.
    pattern = amplitude * (lines[None, :] + lines[: images.shape[-2], None])
    return _to_codes(images.float() + pattern)


def _stretch(images: Images, factor: float) -> Images:
    values = images.float()
    mean = values.mean((1, 2, 3), keepdim=True)
    return _to_codes(mean + factor * (values - mean))


def _normal(images: Images, seed: int) -> Tensor:
    return torch.randn(images.shape, generator=torch.Generator().manual_seed(20261123 + seed))


def _to_codes(values: Tensor) -> Images:
    return values.round().clamp(0, 255).to(torch.uint8)
