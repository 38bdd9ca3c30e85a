"""What a picture leaves in the store for the search for duplicates: its perceptual hash, phases and mean colour.

64 hex digits of `phash`, then `p1` (the version of what follows), 220 digits of `phases.phase_codes`, three of Cb and
three of Cr.
Records from before have the first 64 digits alone; a tail of another form is as good as none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.core.errors import IntegrityError
from qcgen.qc.phases import FREQUENCIES, NONE, Codes, mirrored, phase_codes
from qcgen.qc.phash import hash_luma, luma_64

HASH_DIGITS = 64
_MARK = "p1"
_CHROMA_DIGITS = 3
_CHROMA_STEPS = 16
_NO_COLOUR = 128
_BRIGHTNESS = 0.2
_CODES_AT = HASH_DIGITS + len(_MARK)
_CHROMA_AT = _CODES_AT + FREQUENCIES
_LENGTH = _CHROMA_AT + 2 * _CHROMA_DIGITS
_FORM = re.compile(f"[0-9a-f]{{{HASH_DIGITS}}}({_MARK}[0-9a-f]{{{_LENGTH - _CODES_AT}}})?")
_SHOWN = 20
_DIGITS = "0123456789abcdef"
_VALUE = np.zeros(256, dtype=np.uint8)
_VALUE[np.frombuffer(_DIGITS.encode(), dtype=np.uint8)] = np.arange(16)


@dataclass(frozen=True, slots=True)
class Traits:
    """What tells moved and mirrored copies, a row a picture.

    Attributes:
        codes: phases; a row of `NONE` is a picture of which they are not known.
        chroma: mean Cb and Cr, from -128 to 128: `n 2`. Phases know no colours.
    """

    codes: Codes
    chroma: npt.NDArray[np.float64]

    def mirrored(self) -> "Traits":
        """Those of the pictures mirrored left to right."""
        return Traits(mirrored(self.codes), self.chroma)


def fingerprints(images: UInt8[Tensor, "b 3 h w"]) -> list[str]:
    """292 characters a picture."""
    return written(luma_64(images), mean_chroma(images))


def written(luma: Float[Tensor, "b 64 64"], chroma: Sequence[tuple[int, int]]) -> list[str]:
    """`fingerprints` from what `luma_64` and `mean_chroma` gave: the pictures may be of several sizes."""
    phases = ("".join(map(_DIGITS.__getitem__, row)) for row in phase_codes(luma).tolist())
    colours = (f"{blue:03x}{red:03x}" for blue, red in chroma)
    return [digits + _MARK + row + colour for digits, row, colour in zip(hash_luma(luma), phases, colours, strict=True)]


def mean_chroma(images: UInt8[Tensor, "b 3 h w"]) -> list[tuple[int, int]]:
    """Rec. 601 Cb and Cr of each picture's mean colour, in sixteenths of a code, grey in the middle of 0 to 4095."""
    weights = torch.tensor([[-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=torch.float64)
    # A row's sum of codes is exact in float32 (up to 65,793 px), which a CPU adds several times as fast as integers.
    sums = torch.stack([one.float().sum(2).double().sum(1) for one in images.cpu()])
    steps = (_CHROMA_STEPS * (_NO_COLOUR + sums / images[0, 0].numel() @ weights.T)).round()
    return [(int(blue), int(red)) for blue, red in steps.clamp(0, 16**_CHROMA_DIGITS - 1).tolist()]


def recoloured(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far mean colours lie apart beyond what a fifth more or less brightness does to them, in codes, row by row."""
    larger = np.maximum(np.hypot(*first.T), np.hypot(*second.T))
    return np.asarray(np.hypot(*(first - second).T) - _BRIGHTNESS * larger, dtype=np.float64)


def has_traits(fingerprint: str) -> bool:
    """Whether moved and mirrored copies can be found by it."""
    whole = _FORM.fullmatch(fingerprint)
    return whole is not None and whole[1] is not None


def read_hashes(fingerprints: Sequence[str], names: Sequence[str] = ()) -> npt.NDArray[np.uint64]:
    """The perceptual hashes, `n 4`.

    Args:
        names: of the images, for the message; their places unless given.

    Raises:
        IntegrityError: one does not begin with 64 hex digits.
    """
    for place, one in enumerate(fingerprints):
        if not _FORM.match(one):
            raise IntegrityError(
                f"image {names[place] if names else place}: its recorded perceptual hash must begin with {HASH_DIGITS} "
                f"hex digits (got {one[:_SHOWN]!a}). Cure: `qcgen db restore` a backup; `qcgen score FOLDER` checks "
                "the files themselves."
            )
    digits = "".join(one[:HASH_DIGITS] for one in fingerprints)
    return np.frombuffer(bytes.fromhex(digits), dtype=np.uint64).reshape(-1, 4)


def read_traits(fingerprints: Sequence[str]) -> Traits:
    """The rest of them, unknown where a record is of before or its tail is damaged."""
    codes = np.full((len(fingerprints), FREQUENCIES), NONE, dtype=np.uint8)
    chroma = np.zeros((len(fingerprints), 2))
    known = [place for place, one in enumerate(fingerprints) if has_traits(one)]
    if known:
        digits = "".join(fingerprints[place][_CODES_AT:_CHROMA_AT] for place in known).encode("ascii")
        codes[known] = _VALUE[np.frombuffer(digits, dtype=np.uint8)].reshape(len(known), -1)
        steps = [[int(fingerprints[place][at : at + 3], 16) for at in (_CHROMA_AT, _CHROMA_AT + 3)] for place in known]
        chroma[known] = np.array(steps) / _CHROMA_STEPS - _NO_COLOUR
    return Traits(codes, chroma)
