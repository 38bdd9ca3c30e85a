"""Letters as a coverage map, for the corruptions that write into a picture."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import torch
from jaxtyping import Float
from torch import Tensor

from qcgen.qc.corruption import draw


def write(
    text: str, *, size_px: int, height: int, width: int, generator: torch.Generator
) -> Float[Tensor, "{height} {width}"]:
    """Coverage 0..1 of a text at a drawn place; what does not fit is cut off at the right and at the bottom."""
    canvas = PIL.Image.new("L", (width, height))
    pen = PIL.ImageDraw.Draw(canvas)
    # Pillow carries this font, so that no machine's own fonts change the pixels.
    font = PIL.ImageFont.load_default(size=size_px)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    x = draw(generator, 0, int(width - (right - left)))
    y = draw(generator, 0, int(height - (bottom - top)))
    pen.text((x - left, y - top), text, font=font, fill=255)
    return torch.from_numpy(np.array(canvas)).float() / 255
