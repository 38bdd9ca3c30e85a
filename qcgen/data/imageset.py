"""An image set in memory: uint8 pictures, captions, labels and a split that never leaks near-duplicates."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from qcgen.core.errors import SpecError

_FIELDS = ("webp", "offsets", "label", "classes", "colour", "colour_share", "caption", "id")
_SPLIT = "held_out"


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Pictures and what is known of them, row by row.

    Attributes:
        images: uint8 `n 3 h w`, sRGB.
        captions: one sentence a row.
        products: the garment's name as the captions spell it.
        colours: one of the colour names.
        colour_share: share of the centre in that colour, 0..1.
        ids: the source's own identifiers.
        held_out: True where the row is kept for measuring and is never trained on.
    """

    images: UInt8[Tensor, "n 3 h w"]
    captions: tuple[str, ...]
    products: tuple[str, ...]
    colours: tuple[str, ...]
    colour_share: npt.NDArray[np.float32]
    ids: tuple[str, ...]
    held_out: Bool[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.captions)

    def rows(self, *, held_out: bool) -> npt.NDArray[np.int64]:
        """Indices of the training rows, or of the held-out ones."""
        return np.flatnonzero(self.held_out.numpy() == held_out)


def read_image_set(path: Path, *, held_out_share: float = 0.12) -> ImageSet:
    """Read an `.npz` of concatenated WebP files with labels (the layout of the clothing packages).

    A set with a split of its own says so in `held_out`, a bool a row.

    Args:
        path: the file.
        held_out_share: share of near-duplicate groups that are never trained on, where the set has no split.

    Raises:
        SpecError: the file is missing, cannot be read or lacks a field; the message says which.
    """
    if not path.is_file():
        raise SpecError(f"{path}: no such image set. Cure: give the path of an .npz with {', '.join(_FIELDS)}.")
    try:
        with np.load(path, allow_pickle=False) as packed:
            missing = [name for name in _FIELDS if name not in packed.files]
            if missing:
                lacking = ", ".join(missing)
                raise SpecError(
                    f"{path}: lacks the fields {lacking}. Cure: docs/evaluation.md describes the image set."
                )
            fields = {name: packed[name] for name in (*_FIELDS, _SPLIT) if name in packed.files}
        images = _decode(fields["webp"].tobytes(), fields["offsets"])
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        # numpy gives an array without `files` for an .npy, zipfile a BadZipFile for a torn archive, Pillow an OSError.
        # numpy's own message goes on to say how to load pickles all the same.
        why = str(error).partition(". If you trust")[0]
        raise SpecError(f"{path}: cannot be read ({why}). Cure: copy the file again.") from error
    _check_rows(path, fields, len(images))
    held_out = _own_split(path, fields[_SPLIT], len(images)) if _SPLIT in fields else _held_out(images, held_out_share)
    captions = tuple(str(text) for text in fields["caption"])
    colours = tuple(str(name) for name in fields["colour"])
    return ImageSet(
        images=images,
        captions=captions,
        products=tuple(product_in(text, colour) for text, colour in zip(captions, colours, strict=True)),
        colours=colours,
        colour_share=fields["colour_share"].astype(np.float32),
        ids=tuple(str(name) for name in fields["id"]),
        held_out=torch.from_numpy(held_out),
    )


def write_image_set(
    path: Path,
    images: UInt8[Tensor, "n 3 h w"],
    *,
    captions: Sequence[str],
    products: Sequence[str],
    colours: Sequence[str],
    ids: Sequence[str],
    held_out: Bool[Tensor, " n"],
) -> None:
    """Pack pictures with a split of their own in the layout that `read_image_set` reads, pixels kept exactly.

    Colours are taken as sure: `colour_share` is 1.
    """
    with ThreadPoolExecutor() as pool:
        files = list(pool.map(_encode, images))
    classes = sorted(set(products))
    order = {name: place for place, name in enumerate(classes)}
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        webp=np.frombuffer(b"".join(files), dtype=np.uint8),
        offsets=np.cumsum([0, *(len(file) for file in files)]),
        label=np.array([order[name] for name in products]),
        classes=np.array(classes),
        colour=np.array(colours),
        colour_share=np.ones(len(files), dtype=np.float32),
        caption=np.array(captions),
        id=np.array(ids),
        held_out=held_out.numpy(),
    )
    part.replace(path)


def product_in(caption: str, colour: str) -> str:
    """The garment named by a caption of the form `a photo of [a] COLOUR [children's] GARMENT`."""
    return caption.split(f"{colour} ", 1)[-1].replace("children's ", "")


def _decode(blob: bytes, offsets: npt.NDArray[np.int64]) -> UInt8[Tensor, "n 3 h w"]:
    def read(i: int) -> npt.NDArray[np.uint8]:
        with PIL.Image.open(io.BytesIO(blob[offsets[i] : offsets[i + 1]])) as picture:
            return np.asarray(picture.convert("RGB"))

    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(read, range(len(offsets) - 1)))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def _encode(image: UInt8[Tensor, "3 h w"]) -> bytes:
    held = io.BytesIO()
    PIL.Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(held, "webp", lossless=True, exact=True)
    return held.getvalue()


def _check_rows(path: Path, fields: Mapping[str, npt.NDArray[np.generic]], n: int) -> None:
    counts = {name: fields[name].shape for name in ("caption", "colour", "colour_share", "id") if name in fields}
    wrong = [f"{name} {list(shape)}" for name, shape in counts.items() if shape != (n,)]
    if wrong:
        raise SpecError(
            f"{path}: every picture must have one row in each field, {n} in all (got {', '.join(wrong)}). "
            "Cure: pack the set again; docs/evaluation.md describes it."
        )


def _own_split(path: Path, given: npt.NDArray[np.generic], n: int) -> npt.NDArray[np.bool_]:
    if given.dtype != np.bool_ or given.shape != (n,) or given.all() or not given.any():
        raise SpecError(
            f"{path}: {_SPLIT} must be one bool for each of the {n} pictures, true for some (got {given.dtype} of "
            f"shape {list(given.shape)}, {int(np.count_nonzero(given))} true). "
            "Cure: leave the field out for a split by near-duplicates."
        )
    return np.asarray(given, dtype=np.bool_)


def _held_out(images: UInt8[Tensor, "n 3 h w"], share: float) -> npt.NDArray[np.bool_]:
    """Keep near-duplicates (256-bit difference hash within 40 bits) on one side of the split."""
    grey = images.float().mean(1, keepdim=True)
    small = torch.nn.functional.interpolate(grey, size=(16, 17), mode="area")[:, 0]
    bits = (small[:, :, 1:] > small[:, :, :-1]).flatten(1).float()
    distance = bits @ (1 - bits).T
    near = (distance + distance.T) <= 40
    group = _components(near.numpy())
    order = np.random.default_rng(20261123).permutation(group.max() + 1)
    chosen = order[: round(share * len(order))]
    return np.isin(group, chosen)


def _components(near: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return np.asarray(connected_components(csr_array(near), directed=False)[1], dtype=np.int64)
