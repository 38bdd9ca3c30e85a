"""Copies of clean pictures: how many of them the search for duplicates finds, and how many pairs of others it takes."""

import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.nn import functional as F

from qcgen.core.qcbenchresult import Copies
from qcgen.pipeline.qcdomains import Picture
from qcgen.pipeline.qclayer import flagged
from qcgen.qc.duplicates import LIMIT_BITS
from qcgen.qc.fingerprint import fingerprints, read_hashes, read_traits
from qcgen.qc.near import Near, find_near

_JPEG = 30
_SCALE = 0.7
_BRIGHTER = 1.15
_SHIFT_PX = 3
_MOST, _MOST_QUICK = 300, 40


def most_copied(quick: bool) -> int:
    """Pictures of a domain that are copied: with 300, 0.98 and 1.00 can be told apart."""
    return _MOST_QUICK if quick else _MOST


def measure_copies(pictures: Sequence[Picture]) -> Copies | None:
    """Every change on every picture; None for fewer than two pictures.

    A copy counts as found where it is named near to its original, or to what the original itself is near to. Pairs of
    different pictures are taken for false: where the data holds a picture twice, that is too strict.
    """
    if len(pictures) < 2:
        return None
    images = [one.image for one in pictures]
    plain = [fingerprints(image[None])[0] for image in images]
    near = _near(plain)
    found = {}
    for name, change in CHANGES.items():
        copies = _near([*plain, *(fingerprints(change(image)[None])[0] for image in images)])
        kept = [near[i].place if i in near else i for i in range(len(images))]
        flags = [(one := copies.get(len(images) + i)) is not None and one.place == kept[i] for i in range(len(images))]
        found[name] = flagged(flags)
    pairs = len(images) * (len(images) - 1) // 2
    return Copies(found, flagged([True] * len(near) + [False] * (pairs - len(near))))


def _near(prints: Sequence[str]) -> dict[int, Near]:
    return find_near(read_hashes(prints), LIMIT_BITS, read_traits(prints))


def _jpeg(image: Tensor) -> Tensor:
    file = io.BytesIO()
    _picture(image).save(file, "JPEG", quality=_JPEG)
    return _tensor(PIL.Image.open(file))


def _rescaled(image: Tensor) -> Tensor:
    picture = _picture(image)
    size = (max(1, int(picture.width * _SCALE)), max(1, int(picture.height * _SCALE)))
    return _tensor(picture.resize(size, PIL.Image.Resampling.LANCZOS))


def _brighter(image: Tensor) -> Tensor:
    return (image.float() * _BRIGHTER).clamp(0, 255).to(torch.uint8)


def _shifted(image: Tensor) -> Tensor:
    """Right and down; the outermost row and column fill what becomes free."""
    padded = F.pad(image[None].float(), (_SHIFT_PX, 0, _SHIFT_PX, 0), mode="replicate")[0]
    return padded[:, :-_SHIFT_PX, :-_SHIFT_PX].to(torch.uint8)


def _mirrored(image: Tensor) -> Tensor:
    return image.flip(2).contiguous()


def _picture(image: Tensor) -> PIL.Image.Image:
    return PIL.Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())


def _tensor(picture: PIL.Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


CHANGES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "JPEG q30": _jpeg,
    "rescale 0.7": _rescaled,
    "15 % brighter": _brighter,
    "shift 3 px": _shifted,
    "mirror": _mirrored,
    "shift and mirror": lambda image: _shifted(_mirrored(image)),
    "shift and JPEG q30": lambda image: _jpeg(_shifted(image)),
    "mirror, brighter, rescale": lambda image: _rescaled(_brighter(_mirrored(image))),
}
"""What is done to a picture to make a near duplicate of it."""
