"""Local blemishes of no named kind, to train on beside the named ones: a part changed inside a drawn shape."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

Codes = Float[Tensor, "3 h w"]
Change = Callable[[Codes, Codes, torch.Generator], Codes]
"""A picture and another one, real-valued codes, to what the shape shows instead."""

_PLACES = 8


def _foreign(_: Codes, other: Codes, generator: torch.Generator) -> Codes:
    """Another picture, turned and enlarged up to twice: its grain is not that of the place."""
    angle, zoom = _uniform(-math.pi, math.pi, generator), _uniform(0.5, 1.0, generator)
    turn = zoom * torch.tensor([[math.cos(angle), -math.sin(angle), 0.0], [math.sin(angle), math.cos(angle), 0.0]])
    places = F.affine_grid(turn[None], [1, *other.shape], align_corners=False)
    return F.grid_sample(other[None], places, padding_mode="reflection", align_corners=False)[0]


def _noisy(image: Codes, _: Codes, generator: torch.Generator) -> Codes:
    """Noise, grey or coloured."""
    planes = 1 if _uniform(0.0, 1.0, generator) < 0.5 else 3
    return image + _uniform(3.0, 20.0, generator) * torch.randn((planes, *image.shape[1:]), generator=generator)


def _tinted(image: Codes, _: Codes, generator: torch.Generator) -> Codes:
    """Another contrast around its mean, and another colour."""
    mean = image.mean((1, 2), keepdim=True)
    shift = 60 * (torch.rand((3, 1, 1), generator=generator) - 0.5)
    return mean + _uniform(0.4, 1.6, generator) * (image - mean) + shift


CHANGES: Mapping[str, Change] = MappingProxyType({"foreign": _foreign, "noisy": _noisy, "tinted": _tinted})


def blemish(
    change: Change,
    image: UInt8[Tensor, "3 h w"],
    other: UInt8[Tensor, "3 h w"],
    *,
    area: float,
    generator: torch.Generator,
) -> tuple[UInt8[Tensor, "3 h w"], Bool[Tensor, "h w"]]:
    """A picture changed inside a shape of about `area` of it, and where."""
    codes = image.float()
    weight = _shape(codes, area, generator)
    changed = weight * change(codes, other.float(), generator) + (1 - weight) * codes
    return changed.round().clamp(0, 255).to(torch.uint8), weight > 0


def _shape(codes: Codes, area: float, generator: torch.Generator) -> Float[Tensor, "h w"]:
    """1 inside a turned ellipse, box or anything between, 0 outside, the rim hard or soft; on something, if there is
    anything.
    """
    height, width = codes.shape[1:]
    side, aspect = math.sqrt(area * height * width), math.exp(_uniform(-0.6, 0.6, generator))
    top, left = _busy_place(codes, round(side), generator)
    angle, power = _uniform(0.0, math.pi, generator), _uniform(2.0, 8.0, generator)
    y, x = (torch.arange(height) - top)[:, None], (torch.arange(width) - left)[None, :]
    along = (x * math.cos(angle) + y * math.sin(angle)).abs() / (side / 2 * aspect)
    beside = (y * math.cos(angle) - x * math.sin(angle)).abs() / (side / 2 / aspect)
    radius = (along**power + beside**power) ** (1 / power)
    return ((1 - radius) / _uniform(0.02, 0.5, generator)).clamp(0, 1)


def _busy_place(codes: Codes, side: int, generator: torch.Generator) -> tuple[int, int]:
    """Centre of the square with the most contrast among eight drawn ones."""
    luma, half = codes.mean(0), max(2, side // 2)
    best = (-1.0, 0, 0)
    for _ in range(_PLACES):
        top, left = (
            int(torch.randint(half, max(half + 1, length - half), (1,), generator=generator)) for length in luma.shape
        )
        contrast = float(luma[top - half : top + half, left - half : left + half].std(correction=0))
        best = max(best, (contrast, top, left))
    return best[1], best[2]


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand(1, generator=generator))
