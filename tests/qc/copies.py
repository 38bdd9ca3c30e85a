"""Pictures with structure at many scales, and copies of them."""

import torch
from torch import Tensor
from torch.nn import functional as F


def scenes(n: int, *, side: int = 128, seed: int = 5) -> Tensor:
    """Smooth random scenes that reach over every border."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.zeros(n, 3, side, side)
    for cells, strength in ((6, 0.6), (14, 0.4), (30, 0.2)):
        coarse = strength * (torch.rand(n, 3, cells, cells, generator=generator) - 0.5)
        found += F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    return ((0.5 + found).clamp(0, 1) * 255).round().to(torch.uint8)


def garments(n: int, *, side: int = 128, seed: int = 6) -> Tensor:
    """Dark textured blocks of random outline on white, off the borders."""
    scene = scenes(n, side=side, seed=seed).float()
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(n, 1, 7, 7, generator=generator)
    place = (torch.arange(side) + 0.5) / side - 0.5
    bump = torch.exp(-6 * (place[:, None] ** 2 + place**2))
    inside = F.interpolate(rough, size=(side, side), mode="bicubic", align_corners=False) * bump > 0.22
    return torch.where(inside, 0.6 * scene, 255.0).round().to(torch.uint8)


def moved(images: Tensor, *, down: int, right: int) -> Tensor:
    """Pixels; the border is repeated into what becomes free."""
    most = max(abs(down), abs(right))
    height, width = images.shape[-2:]
    padded = F.pad(images.float(), (most,) * 4, mode="replicate")
    return padded[..., most - down : most - down + height, most - right : most - right + width].to(torch.uint8)


def mirrored(images: Tensor) -> Tensor:
    return images.flip(-1)
