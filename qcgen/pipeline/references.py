"""Hashes and embeddings of the pictures that must not be copied: a training set, or a folder of references."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.core.wording import file_name
from qcgen.data.decoder import Decoded, Decoder
from qcgen.data.imageset import read_image_set
from qcgen.data.pictures import find_files
from qcgen.models.protocol import ImageTextEncoder
from qcgen.qc.phash import phash
from qcgen.qc.references import pack, write_references

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Made:
    """What a file of references holds; `left_out`: by file, why it has no picture."""

    count: int
    left_out: dict[str, str]


def make_references(
    source: Path, target: Path, *, encoder: ImageTextEncoder | None, tell: Callable[[int, int], None]
) -> Made:
    """Write the references of an image set (`.npz`, all rows) or of the pictures below a folder.

    Raises:
        SpecError: there is no picture, or the set cannot be read.
    """
    left_out: dict[str, str] = {}
    ids: list[str] = []
    digits: list[str] = []
    vectors: list[npt.NDArray[np.float16]] = []
    for names, images, total in _batches(source, left_out):
        ids += names
        digits += phash(images)
        if encoder is not None:
            vectors.append(encoder.encode_images(images).half().cpu().numpy())
        tell(len(ids) + len(left_out), total)
    if not ids:
        raise SpecError(f"{file_name(source)}: holds no picture. Cure: an image set (.npz), or a folder of pictures.")
    write_references(
        target,
        ids=ids,
        hashes=pack(digits),
        encoder=None if encoder is None else encoder.digest,
        vectors=np.concatenate(vectors) if vectors else None,
    )
    return Made(len(ids), left_out)


def _batches(source: Path, left_out: dict[str, str]) -> Iterator[tuple[Sequence[str], Tensor, int]]:
    """Ids and pictures of one size, and how many there are in all."""
    if source.suffix == ".npz":
        data = read_image_set(source)
        for start in range(0, len(data), _BATCH):
            yield data.ids[start : start + _BATCH], data.images[start : start + _BATCH], len(data)
        return
    found = find_files([source])
    left_out.update((file_name(path), why.reason) for path, why in found.refused)
    total = len(found.pictures) + len(left_out)
    with Decoder() as decoder:
        for path, picture in zip(found.pictures, decoder.read(found.pictures), strict=True):
            name = file_name(path.relative_to(source)) if path != source else path.name
            if isinstance(picture, Decoded):
                yield [name], picture.image[None], total
            else:
                left_out[name] = picture.reason
