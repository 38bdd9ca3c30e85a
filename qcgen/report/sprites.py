"""Thumbnails: from a row's own bytes or its file, packed ten by ten into WebP sheets."""

import io
from concurrent.futures import Executor, Future
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import PIL.Image

from qcgen.core.types import Row

TILE_PX = 96
PER_SIDE = 10
PER_SHEET = PER_SIDE * PER_SIDE
_QUALITY = 70
# 0 is libwebp's fastest method: a sheet takes a third of the default's time and is about a tenth larger.
_METHOD = 0
# A catalogue image has a few megapixels; anything far above is not opened for a thumbnail.
_MOST_PIXELS = 50_000_000
# What thumbnails usually are comes first: each format that does not fit costs a try.
_FORMATS = ("WEBP", "PNG", "JPEG")


class Pictures:
    """Reads thumbnails; `lost` counts stored images whose file gave none."""

    def __init__(self, images_root: Path) -> None:
        self.lost = 0
        self._root = images_root.resolve()

    def thumbnail(self, row: Row, size_px: int = TILE_PX) -> PIL.Image.Image | None:
        """RGB, at most size_px on its longer side; None without an image or when its file cannot be read."""
        if row.relpath is None:
            return None
        try:
            return self._open(row, size_px)
        except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
            self.lost += 1
            return None

    def _open(self, row: Row, size_px: int) -> PIL.Image.Image:
        if row.thumbnail is not None:
            try:
                return _shrink(PIL.Image.open(io.BytesIO(row.thumbnail), formats=_FORMATS), size_px)
            except (OSError, ValueError, SyntaxError):
                pass  # a damaged thumbnail: the file itself may still be good
        path = (self._root / (row.relpath or "")).resolve()
        if not path.is_relative_to(self._root):
            raise ValueError(f"{row.relpath}: outside the images folder")
        with path.open("rb") as file:
            return _shrink(PIL.Image.open(file, formats=_FORMATS), size_px)


class Sheets:
    """Writes sheets `00000.webp`, ... as tiles arrive; the last one is cut to the rows it has.

    Args:
        encoder: encodes one sheet while the next one fills (libwebp leaves the interpreter to others); at most one
            sheet waits, so that memory does not depend on their number.
    """

    def __init__(self, folder: Path, encoder: Executor) -> None:
        self._folder = folder
        self._encoder = encoder
        self._encoding: Future[None] | None = None
        self._count = 0
        self._sheet = _blank()
        self._empty = True

    def add(self, tile: PIL.Image.Image | None) -> None:
        """Raises OSError if an earlier sheet could not be written."""
        if tile is not None:
            place = self._count % PER_SHEET
            left, top = place % PER_SIDE * TILE_PX, place // PER_SIDE * TILE_PX
            self._sheet.paste(tile, (left + (TILE_PX - tile.width) // 2, top + (TILE_PX - tile.height) // 2))
            self._empty = False
        self._count += 1
        if self._count % PER_SHEET == 0:
            self._hand_over(PER_SIDE)

    def close(self) -> None:
        """All sheets are written when this returns; raises OSError if one could not be."""
        rest = self._count % PER_SHEET
        if rest:
            self._hand_over(-(-rest // PER_SIDE))
        self._wait()

    def _hand_over(self, lines: int) -> None:
        self._wait()
        if not self._empty:
            number = (self._count - 1) // PER_SHEET
            sheet = self._sheet.crop((0, 0, PER_SIDE * TILE_PX, lines * TILE_PX))
            self._encoding = self._encoder.submit(_encode, sheet, self._folder / f"{number:05d}.webp")
        self._sheet, self._empty = _blank(), True

    def _wait(self) -> None:
        if self._encoding is not None:
            self._encoding.result()
            self._encoding = None


def image_href(images: str, relpath: str | None) -> str | None:
    """Relative address of an image: `images` leads from the report to the images' folder, both with forward slashes."""
    if relpath is None or ".." in PurePosixPath(relpath).parts or PurePosixPath(relpath).is_absolute():
        return None
    return quote(f"{images}/{relpath}", safe="/")


def _shrink(picture: PIL.Image.Image, size_px: int) -> PIL.Image.Image:
    if picture.width * picture.height > _MOST_PIXELS:
        raise ValueError(f"{picture.width}x{picture.height} pixels")
    picture.draft("RGB", (size_px, size_px))
    if picture.mode not in ("RGB", "L"):
        flat = PIL.Image.new("RGBA", picture.size, "white")
        flat.alpha_composite(picture.convert("RGBA"))
        picture = flat
    picture = picture.convert("RGB")
    if max(picture.size) > size_px:
        scale = size_px / max(picture.size)
        wide, tall = (max(round(side * scale), 1) for side in picture.size)
        picture = picture.resize((wide, tall), PIL.Image.Resampling.BILINEAR, reducing_gap=2.0)
    return picture


def _blank() -> PIL.Image.Image:
    return PIL.Image.new("RGB", (PER_SIDE * TILE_PX, PER_SIDE * TILE_PX), (128, 128, 128))


def _encode(sheet: PIL.Image.Image, path: Path) -> None:
    sheet.save(path, "WEBP", quality=_QUALITY, method=_METHOD)
