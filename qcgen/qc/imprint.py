"""Letters laid over a picture in every manner, to train on: what a stock agency, a camera or a preview leaves."""

import math
import string

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from qcgen.qc.corruption import Corrupted, draw
from qcgen.qc.region import set_in

_SIGNS = string.ascii_letters + string.digits + "©@&.-/# "
_TYPE_PX = 48
_OPACITY = (0.1, 0.8)


def imprint(image: UInt8[Tensor, "3 h w"], area: float, generator: torch.Generator) -> Corrupted:
    """One line of drawn signs, or the line again and again, whose box covers about `area` of the picture: upright or
    turned, narrow or wide, thin or bold, light, dark or coloured, so faint that it is hard to see or nearly opaque.
    """
    ink = _laid(_line(generator), image.shape[1:], area, generator)
    if _chance(0.3, generator):
        ink = F.avg_pool2d(ink[None], 3, 1, 1, count_include_pad=False)[0]
    low, high = _OPACITY
    ink = ink * low * (high / low) ** float(torch.rand(1, generator=generator))
    return set_in(image, image.float() * (1 - ink) + _tone(generator) * ink, ink > 0)


def _line(generator: torch.Generator) -> Float[Tensor, "h w"]:
    """Coverage 0..1 of a line of signs, cut to its box; at times the outlines alone."""
    text = "".join(_SIGNS[draw(generator, 0, len(_SIGNS) - 1)] for _ in range(draw(generator, 2, 12))).strip() or "A"
    font = PIL.ImageFont.load_default(size=_TYPE_PX)
    bold = draw(generator, 0, 3) if _chance(0.5, generator) else 0
    left, top, right, bottom = font.getbbox(text, stroke_width=bold)
    canvas = PIL.Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))))
    pen = PIL.ImageDraw.Draw(canvas)
    if bold and _chance(0.3, generator):
        pen.text((-left, -top), text, font=font, fill=0, stroke_width=bold, stroke_fill=255)
    else:
        pen.text((-left, -top), text, font=font, fill=255, stroke_width=bold)
    return torch.from_numpy(np.array(canvas)).float() / 255


def _laid(
    line: Float[Tensor, "h w"], size: torch.Size, area: float, generator: torch.Generator
) -> Float[Tensor, "hh ww"]:
    """The line on an empty picture, scaled, stretched, slanted, turned and set down somewhere inside."""
    height, width = size
    stretch = math.exp(_uniform(-0.4, 0.4, generator))
    scale = math.sqrt(area * height * width / line.numel())
    tall, wide = scale * line.shape[0] / stretch, scale * line.shape[1] * stretch
    fits = min(1.0, 1.1 * width / wide, height / tall)
    tall, wide = tall * fits, wide * fits
    angle = 0.0 if _chance(0.5, generator) else _uniform(-math.pi / 3, math.pi / 3, generator)
    slant = _uniform(-0.3, 0.3, generator) if _chance(0.4, generator) else 0.0
    x, y = _uniform(0.2, 0.8, generator) * width, _uniform(0.1, 0.9, generator) * height
    down, right = torch.meshgrid(torch.arange(height) - y, torch.arange(width) - x, indexing="ij")
    along = right * math.cos(angle) + down * math.sin(angle)
    across = down * math.cos(angle) - right * math.sin(angle)
    along = along + slant * across
    if _chance(0.25, generator):
        gap = _uniform(1.2, 2.0, generator)
        along, across = _repeated(along, gap * wide), _repeated(across, 1.3 * gap * tall)
    places = torch.stack([2 * along / wide, 2 * across / tall], dim=-1)
    # Down-sampling a line of 48 px needs its coarser copies, or thin strokes would break up.
    fine = max(1, round(line.shape[0] / max(tall, 1.0)))
    line = F.avg_pool2d(line[None], fine, ceil_mode=True, count_include_pad=False)[0] if fine > 1 else line
    return F.grid_sample(line[None, None], places[None], align_corners=False)[0, 0]


def _repeated(place: Float[Tensor, "h w"], period: float) -> Float[Tensor, "h w"]:
    return (place + period / 2) % period - period / 2


def _tone(generator: torch.Generator) -> Float[Tensor, "3 1 1"]:
    """White more often than black, greys and colours."""
    kind = draw(generator, 0, 7)
    if kind < 4:
        return torch.full((3, 1, 1), 255.0)
    if kind < 5:
        return torch.zeros((3, 1, 1))
    grey = torch.full((3, 1, 1), _uniform(0.0, 255.0, generator))
    return grey if kind < 7 else 255 * torch.rand((3, 1, 1), generator=generator)


def _chance(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand(1, generator=generator)) < share


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand(1, generator=generator))
