"""Reading text in pictures: where lines lie, and what they say, by two networks that come with rapidocr-onnxruntime.

The weights are PP-OCRv4 by PaddlePaddle, Apache-2.0: installed by the extra `ocr`, not distributed with qcgen.
Only that package's weights are used. Its own code enlarges every picture to 736 px, asks a third network which way up
a line is, and needs OpenCV's build with a GUI, whose system libraries a plain machine lacks.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.errors import IntegrityError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_FOUND_BY, _READ_BY = "ch_PP-OCRv4_det_infer.onnx", "ch_PP-OCRv4_rec_infer.onnx"
SIDE_PX = 384
"""The picture's short side as the first network sees it: letters of 3 % of it are 11 px there."""
_LONGEST_PX = 1536
_STEP = 32
_LINE_PX, _LINE_WIDE, _LINE_WIDEST = 48, 320, 960
_LIKELY, _SURE = 0.3, 0.5
_MOST_LINES = 6
_WORD = 4
_STEEP = 0.35
"""Cosine of 70 degrees."""
_THIN = 3
_UNCLIP = 1.6
"""Both networks were trained so: regions are shrunk, and grow back by this share of area over perimeter."""

_loading = Lock()

_CURE = "pip install --force-reinstall rapidocr-onnxruntime"

_Array = npt.NDArray[np.float32]


class Session(Protocol):
    """What is used of onnxruntime's InferenceSession."""

    def run(self, names: None, feed: Mapping[str, _Array]) -> Sequence[_Array]: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line as read.

    Attributes:
        sure: the probability of each letter that is no space, 0 to 1.
        box: left, top, right, bottom as shares of the picture, upright even where the line is not.
    """

    text: str
    sure: tuple[float, ...]
    box: tuple[float, float, float, float]

    @property
    def certainty(self) -> float:
        """Mean probability of its letters, for fewer than four in proportion: any texture may look like a letter."""
        return sum(self.sure) / max(_WORD, len(self.sure))


@dataclass(frozen=True, slots=True)
class _Region:
    """A rectangle, perhaps turned, in pixels of the picture; unit vectors along the line and down its letters."""

    centre: _Array
    along: _Array
    down: _Array
    width: float
    height: float

    def turned(self) -> "_Region":
        return replace(self, along=-self.along, down=-self.down)


class TextReader:
    """Reads one picture after another: a convolution's rounding depends on how many it is given."""

    def __init__(self, finder: Session, recogniser: Session, letters: Sequence[str]) -> None:
        self._finder, self._recogniser = finder, recogniser
        self._letters = ("", *letters, " ")

    def read(self, image: UInt8[Tensor, "3 h w"]) -> tuple[Line, ...]:
        """The six largest lines of a picture, the most certain first."""
        codes = image.detach().cpu().float().flip(0)[None] / 127.5 - 1
        chance = self._find(codes)
        height, width = image.shape[1:]
        regions = _regions(chance, width / chance.shape[1], height / chance.shape[0])
        lines = [self._better(codes, region) for region in regions]
        return tuple(sorted((one for one in lines if one.sure), key=lambda one: (-one.certainty, one.text, one.box)))

    def _find(self, codes: Float[Tensor, "1 3 h w"]) -> _Array:
        sides = codes.shape[2:]
        scale = min(SIDE_PX / min(sides), _LONGEST_PX / max(sides))
        size = [max(_STEP, round(side * scale / _STEP) * _STEP) for side in sides]
        seen = F.interpolate(codes, size=size, mode="bilinear", align_corners=False, antialias=scale < 1)
        return self._finder.run(None, {"x": np.ascontiguousarray(seen.numpy())})[0][0, 0]

    def _better(self, codes: Float[Tensor, "1 3 h w"], region: _Region) -> Line:
        """A line that goes up or down may begin at either end."""
        ways = [region] if region.along[0] > _STEEP else [region, region.turned()]
        return max((self._line(codes, way) for way in ways), key=lambda line: line.certainty)

    def _line(self, codes: Float[Tensor, "1 3 h w"], region: _Region) -> Line:
        strip = _cut(codes, region)
        padded = F.pad(strip, (0, max(0, _LINE_WIDE - strip.shape[3])))
        chances = self._recogniser.run(None, {"x": np.ascontiguousarray(padded.numpy())})[0][0]
        best = chances.argmax(1)
        # Connectionist temporal classification: 0 is no letter, and a letter that goes on is one.
        new = (best > 0) & (np.diff(best, prepend=0) != 0)
        read = [self._letters[letter] for letter in best[new]]
        sure = [float(one) for one, letter in zip(chances.max(1)[new], read, strict=True) if not letter.isspace()]
        return Line("".join(read).strip(), tuple(sure), _upright(region, codes.shape[3], codes.shape[2]))


def find_reader() -> TextReader | None:
    """One for the process and all its threads, as loading takes half a second; None without the extra `ocr`.

    Raises:
        IntegrityError: a network's file is damaged, gone, or another network's.
    """
    with _loading:
        return _load()


@lru_cache(maxsize=1)
def _load() -> TextReader | None:
    package = importlib.util.find_spec("rapidocr_onnxruntime")
    if package is None or not package.submodule_search_locations or importlib.util.find_spec("onnxruntime") is None:
        return None
    return open_reader(Path(package.submodule_search_locations[0]) / "models")


def open_reader(folder: Path) -> TextReader:
    """The networks of a folder; raises IntegrityError as `find_reader` does."""
    finder, recogniser = _open(folder / _FOUND_BY), _open(folder / _READ_BY)
    letters = recogniser.get_modelmeta().custom_metadata_map.get("character", "").splitlines()
    classes = recogniser.get_outputs()[0].shape[-1]
    # No letter and the space are not listed.
    if not letters or classes != len(letters) + 2:
        told = f"{folder / _READ_BY}: must list the letters of its classes (got {len(letters)} letters"
        raise IntegrityError(f"{told} for {classes} classes). Cure: {_CURE}.")
    return TextReader(cast(Session, finder), cast(Session, recogniser), letters)


def _open(path: Path) -> "InferenceSession":
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    # More gain little on pictures this small, and between two calls they keep the cores busy that others wait for.
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class of their own in common
        raise IntegrityError(
            f"{path}: no network that can be loaded ({type(error).__name__}). Cure: {_CURE}."
        ) from None


def _regions(chance: _Array, across: float, down: float) -> list[_Region]:
    """The six largest places that are surely text, in pixels of the picture; a pixel of `chance` is across x down."""
    labels, _ = ndimage.label(chance > _LIKELY)
    found = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        y, x = np.nonzero(labels[rows, columns] == number)
        y, x = y + rows.start, x + columns.start
        if min(np.ptp(x), np.ptp(y)) + 1 >= _THIN and chance[y, x].mean() >= _SURE:
            found.append((len(x), np.stack([(x + 0.5) * across, (y + 0.5) * down], axis=1)))
    largest = sorted(found, key=lambda one: -one[0])[:_MOST_LINES]
    return [_around(points.astype(np.float32), max(across, down)) for _, points in largest]


def _around(points: _Array, pixel: float) -> _Region:
    """The rectangle around a region's points along its longest extent, grown back to the letters' own size."""
    middle = points.mean(0)
    spread, axes = np.linalg.eigh(np.cov((points - middle).T))
    along = axes[:, 1].astype(np.float32) if spread[1] > 2 * spread[0] else np.array([1, 0], dtype=np.float32)
    along = along if along[0] >= 0 else -along
    down = np.array([-along[1], along[0]], dtype=np.float32)
    places = (points - middle) @ np.stack([along, down], axis=1)
    low, high = places.min(0), places.max(0)
    width, height = (float(one) + pixel for one in high - low)
    grown = _UNCLIP * width * height / (width + height)
    centre = middle + ((low + high) / 2) @ np.stack([along, down])
    return _Region(centre, along, down, width + grown, height + grown)


def _cut(codes: Float[Tensor, "1 3 h w"], region: _Region) -> Float[Tensor, "1 3 hh ww"]:
    """The rectangle as an upright strip of 48 px, averaged where it was larger."""
    times = max(1, round(region.height / _LINE_PX))
    tall = _LINE_PX * times
    wide = times * min(_LINE_WIDEST, max(_LINE_PX // 4, round(_LINE_PX * region.width / region.height)))
    y, x = ((torch.arange(n) + 0.5) / n - 0.5 for n in (tall, wide))
    along, down, centre = (torch.from_numpy(one) for one in (region.along, region.down, region.centre))
    places = centre + x[None, :, None] * region.width * along + y[:, None, None] * region.height * down
    sides = torch.tensor([codes.shape[3], codes.shape[2]])
    strip = F.grid_sample(codes, (2 * places / sides - 1)[None], padding_mode="border", align_corners=False)
    return F.avg_pool2d(strip, times)


def _upright(region: _Region, width: int, height: int) -> tuple[float, float, float, float]:
    reach = (np.abs(region.along) * region.width + np.abs(region.down) * region.height) / 2
    sides = np.array([width, height])
    low, high = (np.clip((region.centre + sign * reach) / sides, 0, 1) for sign in (-1, 1))
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
