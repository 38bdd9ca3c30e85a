"""Kinds of clean pictures on which the checks are measured, and their split: no picture is used twice."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.core.seeds import item_seed
from qcgen.data.imageset import read_image_set
from qcgen.data.pictures import find_pictures

_TABLES = ("labels.csv", "manifest.csv", "catalog.csv")
_LOSSY = frozenset({".jpg", ".jpeg", ".webp"})
_SHRINK = 1.3
_STEP = 8
_LEAST = 49
"""Pictures that a limit at 2 % needs."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One clean picture. `opinion` is what people thought of it, higher is better."""

    key: str
    image: Tensor
    prompt: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    opinion: float | None = None


@dataclass(frozen=True, slots=True)
class Pictures:
    """A domain before it is measured.

    Attributes:
        judged: pictures with people's opinions, good and bad, as large as they were judged.
        calibrate, clean: at least so many calibrate or are tested, whatever the settings say.
        packshots: whole products on a white ground.
    """

    name: str
    about: str
    pictures: tuple[Picture, ...]
    vocabulary: Mapping[str, Sequence[str]] = field(default_factory=dict)
    judged: tuple[Picture, ...] = ()
    calibrate: int = 0
    clean: int = 0
    packshots: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """Disjoint parts of a domain."""

    calibrate: tuple[Picture, ...]
    clean: tuple[Picture, ...]
    corrupt: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The most pictures of each part, and the longest short side."""

    calibrate: int
    clean: int
    corrupt: int
    side: int

    @property
    def most(self) -> int:
        return self.calibrate + self.clean + self.corrupt


Draw = Callable[[Sequence[str], Sequence[int]], Tensor]
"""Prompts and seeds to pictures, uint8 `b 3 h w`."""

Tell = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


def split(pictures: Sequence[Picture], sizes: Sizes, *, seed: int) -> Parts:
    """Calibrate, clean test, corrupt: a half and two quarters; more to calibrate where a third is left for the rest."""
    order = np.random.default_rng(seed).permutation(len(pictures))[: sizes.most]
    n = len(order)
    least = max(one for one in (n // 2, 2 * _LEAST, _LEAST) if n - one >= n / 3 or one == n // 2)
    calibrate = min(sizes.calibrate, max(least, n - sizes.clean - sizes.corrupt))
    corrupt = min(sizes.corrupt, (n - calibrate) // 2)
    clean = min(sizes.clean, n - calibrate - corrupt)
    shuffled = [pictures[i] for i in order]
    return Parts(
        tuple(shuffled[:calibrate]),
        tuple(shuffled[calibrate : calibrate + clean]),
        tuple(shuffled[calibrate + clean : calibrate + clean + corrupt]),
    )


def read_folder(name: str, folder: Path, *, side: int) -> Pictures:
    """Pictures of a folder; a table beside them (`labels.csv`, ...) gives generators, sources and opinions.

    Raises:
        SpecError: there is no picture that can be read.
    """
    rows = _rows(folder)
    paths = find_pictures([folder])
    found = []
    for path in paths:
        row = rows.get(path.name, {})
        opinion = row.get("mos_quality")
        found.append(
            Picture(
                key=f"{name}/{path.name}",
                image=read_picture(path, side=side),
                prompt=row.get("prompt", ""),
                group=row.get("generator") or row.get("source") or "",
                opinion=float(opinion) if opinion else None,
            )
        )
    one = Pictures(name, f"pictures of {folder.name}", tuple(found))
    return _with_opinions(one, paths) if all(picture.opinion is not None for picture in found) else one


def read_packed(name: str, path: Path, *, sizes: Sizes, seed: int) -> Pictures:
    """Held-out rows of an image set, with what was asked for: no network here has learned from them."""
    data = read_image_set(path)
    rows = np.random.default_rng(seed).permutation(data.rows(held_out=True))[: sizes.most]
    side = min(sizes.side, _shrunk(min(data.images.shape[-2:])))
    images = [_shrink(data.images[row].permute(1, 2, 0).numpy(), side) for row in rows.tolist()]
    pictures = tuple(
        Picture(
            key=f"{name}/{data.ids[row]}",
            image=image,
            prompt=data.captions[row],
            fields={"product": data.products[row], "colour": data.colours[row]},
        )
        for row, image in zip(rows.tolist(), images, strict=True)
    )
    vocabulary = {"product": sorted(set(data.products)), "colour": sorted(set(data.colours))}
    return Pictures(name, f"held-out photos of {path.name}", pictures, vocabulary)


def draw_student(
    name: str, draw: Draw, like: Pictures, *, sizes: Sizes, calibrate: int, clean: int, seed: int, tell: Tell
) -> Pictures:
    """A student's own pictures, unpicked, with the products and colours of pictures drawn from another domain.

    They can be made in any number, so this is the domain on which the whole layer can be calibrated and tested: with at
    least so many pictures.
    """
    count = max(sizes.calibrate, calibrate) + max(sizes.clean, clean) + sizes.corrupt
    rng = np.random.default_rng(seed)
    found: list[Picture] = []
    for start in range(0, count, 32):
        block = range(start, min(start + 32, count))
        fields = [like.pictures[place].fields for place in rng.integers(len(like.pictures), size=len(block))]
        prompts = [f"a photo of a {one['colour']} {one['product']}" for one in fields]
        images = draw(prompts, [item_seed(seed, i) for i in block])
        found += [
            Picture(f"{name}/{i}", image.clone(), prompt, one)
            for i, image, prompt, one in zip(block, images, prompts, fields, strict=True)
        ]
        tell(len(found), count)
    return Pictures(
        name, "what the student makes, unpicked", tuple(found), like.vocabulary, calibrate=calibrate, clean=clean
    )


def by_group(one: Pictures) -> Iterator[Pictures]:
    """A domain for each source."""
    for group in sorted({picture.group for picture in one.pictures}):
        chosen = tuple(picture for picture in one.pictures if picture.group == group)
        yield replace(one, name=f"{one.name}-{group}", about=f"{one.about}, {group}", pictures=chosen)


def read_picture(path: Path, *, side: int) -> Tensor:
    """RGB codes, sides a multiple of 8. What was stored lossily is made 1.3 times smaller or more, so that the grid of
    its compression is gone; nothing is ever enlarged.

    Raises:
        SpecError: the file is no picture.
    """
    try:
        with PIL.Image.open(path) as picture:
            codes = np.array(picture.convert("RGB"))
    except (OSError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise SpecError(f"{path}: cannot be read ({error}). Cure: take it out of the folder.") from None
    short = min(codes.shape[:2])
    return _shrink(codes, min(side, _shrunk(short) if path.suffix.lower() in _LOSSY else short // _STEP * _STEP))


def _shrunk(short: int) -> int:
    return max(_STEP, int(short / _SHRINK) // _STEP * _STEP)


def _shrink(codes: np.ndarray, side: int) -> Tensor:
    picture = PIL.Image.fromarray(codes)
    scale = side / min(picture.size)
    width, height = (max(_STEP, round(length * scale) // _STEP * _STEP) for length in picture.size)
    # The part that is not a multiple of 8 is cut off on both sides, so that nothing is stretched.
    wide, high = width / scale, height / scale
    left, top = (picture.width - wide) / 2, (picture.height - high) / 2
    box = (max(0.0, left), max(0.0, top), min(picture.width, left + wide), min(picture.height, top + high))
    small = picture.resize((width, height), PIL.Image.Resampling.LANCZOS, box=box) if scale != 1 else picture
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).contiguous()


def _rows(folder: Path) -> dict[str, dict[str, str]]:
    for path in (place / name for place in (folder, folder.parent) for name in _TABLES):
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                return {Path(row["file"]).name: row for row in csv.DictReader(file) if row.get("file")}
    return {}


def _with_opinions(one: Pictures, paths: Sequence[Path]) -> Pictures:
    """The better half by people's marks counts as clean. They judged the files as they are, and so do the checks."""
    middle = float(np.median([picture.opinion or 0.0 for picture in one.pictures]))
    clean = tuple(picture for picture in one.pictures if (picture.opinion or 0.0) >= middle)
    judged = tuple(replace(picture, image=_whole(path)) for picture, path in zip(one.pictures, paths, strict=True))
    return replace(one, about=f"{one.about}, the better half by people's marks", pictures=clean, judged=judged)


def _whole(path: Path) -> Tensor:
    """RGB codes of a file that `read_picture` could read."""
    with PIL.Image.open(path) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()
