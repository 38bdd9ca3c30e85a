"""Where a local artifact goes: on something, not on an empty ground, and how a patch is set into a picture."""

import math

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.corruption import Corrupted, draw, to_codes

_CANDIDATES = 16
_SMALLEST = 4


def side_of(image: UInt8[Tensor, "3 h w"], share: float) -> int:
    """Side of a square that covers `share` of the picture's area, as far as one fits."""
    height, width = image.shape[1:]
    return max(_SMALLEST, min(round(math.sqrt(share * height * width)), min(height, width) - 2))


def busiest(image: UInt8[Tensor, "3 h w"], side: int, generator: torch.Generator) -> tuple[int, int]:
    """Top and left of the square with the most contrast among sixteen drawn ones."""
    height, width = image.shape[1:]
    luma = image.float().mean(0)
    best = (-1.0, 0, 0)
    for _ in range(_CANDIDATES):
        top, left = draw(generator, 0, height - side), draw(generator, 0, width - side)
        contrast = float(luma[top : top + side, left : left + side].std(correction=0))
        best = max(best, (contrast, top, left))
    return best[1], best[2]


def square(image: UInt8[Tensor, "3 h w"], top: int, left: int, side: int) -> Bool[Tensor, "h w"]:
    """The mask of a square."""
    mask = torch.zeros(image.shape[1:], dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def falloff(image: UInt8[Tensor, "3 h w"], top: int, left: int, side: int) -> Float[Tensor, "h w"]:
    """1 in the middle of a square's disc, smoothly 0 at its rim and beyond."""
    height, width = image.shape[1:]
    centre = (side - 1) / 2
    down = (torch.arange(height) - top - centre)[:, None]
    across = (torch.arange(width) - left - centre)[None, :]
    radius = torch.hypot(down, across) / (side / 2)
    return (1 - radius.clamp(max=1) ** 2) ** 2


def background(image: UInt8[Tensor, "3 h w"]) -> Float[Tensor, "3"]:
    """The median colour of the frame's outermost pixels, in codes."""
    codes = image.float()
    frame = torch.cat([codes[:, 0], codes[:, -1], codes[:, :, 0], codes[:, :, -1]], dim=1)
    return frame.median(dim=1).values


def set_in(image: UInt8[Tensor, "3 h w"], values: Float[Tensor, "3 h w"], mask: Bool[Tensor, "h w"]) -> Corrupted:
    """Real-valued codes inside the mask, the picture's own bytes outside."""
    return Corrupted(torch.where(mask, to_codes(values), image), mask)


def moved(
    image: UInt8[Tensor, "3 h w"], down: Float[Tensor, "h w"], across: Float[Tensor, "h w"]
) -> Float[Tensor, "3 h w"]:
    """Each pixel taken from so many pixels further down and to the right, bilinearly, in codes."""
    height, width = image.shape[1:]
    y = torch.arange(height)[:, None] + down
    x = torch.arange(width)[None, :] + across
    places = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    return F.grid_sample(image.float()[None], places[None], padding_mode="reflection", align_corners=True)[0]
