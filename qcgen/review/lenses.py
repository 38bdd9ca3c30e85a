"""Maps to lay over a picture: where something can be seen that checks measure. Made from its pixels alone, so that they
say nothing about what the checks found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from qcgen.review.problem import UNKNOWN, RefusedError

MOST_PIXELS = 50_000_000
Plane = npt.NDArray[np.float32]
_HOT = (233, 30, 140)


@dataclass(frozen=True, slots=True)
class Lens:
    """One map.

    Attributes:
        name: of the menu.
        says: what the marked places are; `{}` becomes the value.
        draw: RGB codes `h w 3` to marks in [0, 1] `h w` and the value, as text with its unit.
    """

    name: str
    says: str
    draw: Callable[[Plane], tuple[Plane, str]]


def _burnt(rgb: Plane) -> tuple[Plane, str]:
    ended = ((rgb <= 1) | (rgb >= 254)).any(axis=2)
    return np.asarray(ended, dtype=np.float32), f"{100 * float(ended.mean()):.1f} %"


def _sharp(rgb: Plane) -> tuple[Plane, str]:
    luma = _luma(rgb)
    down, right = np.abs(np.diff(luma, axis=0, append=luma[-1:])), np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    slope = np.asarray(np.maximum(down, right), dtype=np.float32)
    return np.asarray(np.clip(slope / 48, 0, 1)), f"{float(np.quantile(slope, 0.99)):.0f} of 255"


def _lone(rgb: Plane) -> tuple[Plane, str]:
    luma = _luma(rgb)
    around = np.pad(luma, 1, mode="edge")
    height, width = luma.shape
    windows = [around[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    off = np.abs(luma - np.median(np.stack(windows), axis=0))
    return np.clip(off / 24, 0, 1), f"{float(off.mean()):.2f} of 255"


def _ground(rgb: Plane) -> tuple[Plane, str]:
    rim = max(1, min(rgb.shape[:2]) // 16)
    frame = np.concatenate([rgb[:rim].reshape(-1, 3), rgb[-rim:].reshape(-1, 3), rgb[:, :rim].reshape(-1, 3),
                            rgb[:, -rim:].reshape(-1, 3)])  # fmt: skip
    off = np.abs(rgb - np.median(frame, axis=0)).max(axis=2)
    inside = np.zeros(off.shape, dtype=bool)
    inside[rim:-rim, rim:-rim] = True
    return np.clip(off / 96, 0, 1), f"{100 * float((off[~inside] > 24).mean()):.1f} %"


LENSES = (
    Lens("Burnt or black", "Pixels with a channel at its end: {} of the picture.", _burnt),
    Lens("Sharp edges", "Steps in brightness; the sharpest hundredth steps by {}.", _sharp),
    Lens("Lone pixels", "Pixels unlike their neighbours: grain, specks, blocks; on average {} away.", _lone),
    Lens("Off the ground", "What has not the frame's colour; it takes {} of the frame itself.", _ground),
)

LENS_OF_FINDING: Mapping[str, int] = {
    "clipping": 0,
    "saturation": 0,
    **dict.fromkeys(("blur", "blur_effect", "motion_blur", "detail"), 1),
    **dict.fromkeys(("noise", "speckles", "jpeg_blocks", "tile_seam", "upsampling_grid", "ringing", "banding"), 2),
    **dict.fromkeys(("border_crop", "background", "centring", "occupancy", "colour_cast"), 3),
}
"""Which map shows best what a check measures; the others look at the picture as a whole and have none."""


def draw_lens(data: bytes, number: int) -> tuple[bytes, str]:
    """The map as a PNG that is transparent where nothing is marked, and one sentence with its value.

    Raises:
        RefusedError: no such lens, or a picture that cannot be read or has more than 50 megapixels.
    """
    if not 0 <= number < len(LENSES):
        raise RefusedError(UNKNOWN)
    lens = LENSES[number]
    marks, value = lens.draw(_pixels(data))
    layer = np.empty((*marks.shape, 4), dtype=np.uint8)
    layer[..., :3] = _HOT
    layer[..., 3] = np.round(255 * marks)
    file = BytesIO()
    Image.fromarray(layer, "RGBA").save(file, "PNG", compress_level=1)
    return file.getvalue(), lens.says.format(value)


def make_thumbnail(data: bytes, side: int = 192) -> bytes:
    """A small WebP for the grid. Raises RefusedError as `draw_lens` does."""
    file = BytesIO()
    picture = _opened(data)
    picture.thumbnail((side, side))
    picture.save(file, "WEBP", quality=85)
    return file.getvalue()


def _luma(rgb: Plane) -> Plane:
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.asarray(rgb @ weights, dtype=np.float32)


def _pixels(data: bytes) -> Plane:
    return np.asarray(_opened(data), dtype=np.float32)


def _opened(data: bytes) -> Image.Image:
    try:
        picture = Image.open(BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
        if picture.width * picture.height > MOST_PIXELS:
            raise RefusedError(UNKNOWN)
        return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError) as error:
        raise RefusedError(UNKNOWN) from error
