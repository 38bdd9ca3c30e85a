"""Evidence as a picture to lay over: 8 bits a pixel, transparent where nothing is marked."""

import io

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import torch
from torch.nn import functional as F

from qcgen.qc.evidence import MOST_PX, Evidence

_LEVELS = 254
_OUTLINE = 255
_STOPS = ((0.0, (255, 196, 0)), (0.5, (255, 90, 0)), (1.0, (214, 0, 92)))
"""Amber to crimson: no photo of goods is full of it, and people who do not tell red from green see light to dark."""
_OUTLINE_RGB = (0, 102, 255)
_MOST_OPAQUE = 220


def draw_overlay(evidence: Evidence, *, height: int, width: int) -> bytes | None:
    """A PNG of the picture's shape, at most 128 px on its longer side; None where nothing is marked.

    Palette index k of 1 to 254 stands for the map's value k / 254, index 255 for a box's outline.
    """
    scale = min(1.0, MOST_PX / max(height, width))
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    levels = np.zeros((tall, wide), dtype=np.uint8)
    if evidence.heat is not None:
        values = F.interpolate(evidence.heat.values[None, None], size=(tall, wide), mode="nearest")[0, 0]
        levels = (values * _LEVELS).round().to(torch.uint8).numpy()
    picture = PIL.Image.fromarray(levels)
    pen = PIL.ImageDraw.Draw(picture)
    for box in evidence.boxes:
        right, bottom = max(box.left * wide, box.right * wide - 1), max(box.top * tall, box.bottom * tall - 1)
        pen.rectangle((box.left * wide, box.top * tall, right, bottom), outline=_OUTLINE)
    return _encode(picture) if np.asarray(picture).any() else None


def _encode(levels: PIL.Image.Image) -> bytes:
    colours, opacity = _palette()
    levels.putpalette(colours.tobytes())
    file = io.BytesIO()
    levels.save(file, "PNG", transparency=opacity.tobytes(), optimize=True)
    return file.getvalue()


def _palette() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Colours and opacities of the 256 levels."""
    share = np.minimum(np.arange(256) / _LEVELS, 1.0)
    places = [place for place, _ in _STOPS]
    rgb = np.stack([np.interp(share, places, [colour[i] for _, colour in _STOPS]) for i in range(3)], axis=1)
    opacity = np.where(share > 0, 70 + share * (_MOST_OPAQUE - 70), 0)
    rgb[_OUTLINE], opacity[_OUTLINE] = _OUTLINE_RGB, 255
    return rgb.round().astype(np.uint8), opacity.round().astype(np.uint8)
