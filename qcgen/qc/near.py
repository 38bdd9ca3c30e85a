"""Which pictures of many are near to an earlier one: by their hashes, else by their phases, moved and mirrored too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcgen.qc.fingerprint import Traits, recoloured
from qcgen.qc.nearsearch import Buckets, Nearest, Places, distance
from qcgen.qc.phases import BITS, NONE, agree, invariant_words, may_agree
from qcgen.qc.phash import Hashes

AGREEMENT = 0.85
"""Of the phases, at least. Unrelated pictures reach 0.3 or so at their best shift, the most alike of nine million pairs
of different garments 0.84; of copies that were moved by 1 %, mirrored, compressed, brightened or rescaled, 99 of 100
reach it."""

_RECOLOURED = 4.0
"""Codes, by `recoloured`: the same cut in another colour is another product. Copies stay below 3.5, other colours are
8 and more."""

_HASH_BITS = 256
_HASH_CHUNKS = 16
_LIMIT_BITS = round(0.32 * BITS)
"""Of the bits that a shift hardly changes: one by 3 % of the side costs up to so many, unrelated pictures half."""
_FLIPS = 1
_CANDIDATES = 64
"""Earlier rows whose phases are compared with those of a row, as it is and mirrored, and as many of its own block."""
_BLOCK = 1024
_MIRROR_COSTS = 0.01
"""Agreement that rounding alone can give."""


@dataclass(frozen=True, slots=True)
class Near:
    """An earlier row that a row is near to.

    Attributes:
        bits: between their hashes; None where only the phases agree.
        agreement: of the phases, 1 at most; None where the hashes are near.
        mirrored: the row is its mirror image.
        down, right: how far it was moved, after it was mirrored, of the picture's side.
    """

    place: int
    bits: int | None = None
    agreement: float | None = None
    mirrored: bool = False
    down: float = 0.0
    right: float = 0.0

    @property
    def relation(self) -> str:
        """`mirrored`, `shifted`, `mirrored, shifted`, or nothing where it is neither."""
        shifted = self.down != 0 or self.right != 0
        return ", ".join(name for name, so in (("mirrored", self.mirrored), ("shifted", shifted)) if so)


def find_near(
    packed: Hashes, limit_bits: int, traits: Traits | None = None, *, agreement: float = AGREEMENT
) -> dict[int, Near]:
    """For each row near to an earlier clean row: the nearest, of equals the earliest.

    Clean rows alone are indexed, which keeps a batch that has collapsed to one picture as cheap as any other.

    Args:
        limit_bits: of 256, by which near hashes differ at most; every such pair is found.
        traits: of each row, asked where no hash is near. A pair that agrees is found where it shares one of 48
            chunks of 16 bits up to one bit: of pairs moved by 3 % of the side 99 % do. Of the clean rows of its colour
            the 64 nearest in these bits are asked, and as many of its own block of 1024: where more are that near, as
            many prints on one cut, a moved copy can be missed.
        agreement: of the phases, at least.
    """
    search = _Search(packed, limit_bits, traits, agreement)
    near: dict[int, Near] = {}
    clean = np.zeros(0, dtype=np.int64)
    for start in range(0, len(packed), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(packed)))
        stayed = search.settle(block, search.among(block, clean), near)
        clean = np.concatenate([clean, stayed])
    return near


class _Search:
    """The rows' bits, and which pairs of them are near."""

    def __init__(self, packed: Hashes, limit_bits: int, traits: Traits | None, agreement: float) -> None:
        self._packed, self._limit_bits, self._agreement = packed, limit_bits, agreement
        # Two rows within the limit share one of 16 chunks up to a sixteenth of it.
        self._hashes = Buckets(packed, flips=limit_bits // _HASH_CHUNKS)
        self._known = (
            np.zeros(len(packed), dtype=bool) if traits is None else (traits.codes != NONE).mean(1) >= agreement
        )
        if traits is not None and self._known.any():
            self._traits = (traits, traits.mirrored())
            self._words = [invariant_words(one.codes) for one in self._traits]
            self._buckets = [Buckets(one, flips=_FLIPS) for one in self._words]

    def among(self, block: Places, clean: Places) -> dict[int, Near]:
        """The nearest clean row of earlier blocks, for the rows of this block that have one."""
        nearest = Nearest(len(self._packed), bits=_HASH_BITS + 1, most=1)
        for hits in self._hashes.near(block, clean, limit_bits=self._limit_bits):
            nearest.add(*hits)
        found = {i: Near(other, bits=bits) for i, other, bits in nearest.hits().tolist()}
        rest = np.array([i for i in block.tolist() if i not in found and self._known[i]], dtype=np.int64)
        known = clean[self._known[clean]]
        if not len(rest) or not len(known):
            return found
        for mirror, source in enumerate(self._buckets):
            nearest = Nearest(len(self._packed), bits=BITS + 1, most=_CANDIDATES)
            for rows, others, bits in self._buckets[0].near(rest, known, limit_bits=_LIMIT_BITS, other=source):
                alike = self._one_colour(rows, others)
                nearest.add(rows[alike], others[alike], bits[alike])
            self._take_agreeing(nearest.hits()[:, :2], bool(mirror), found)
        return found

    def _one_colour(self, rows: Places, others: Places) -> npt.NDArray[np.bool_]:
        chroma = self._traits[0].chroma
        return recoloured(chroma[rows], chroma[others]) <= _RECOLOURED

    def settle(self, block: Places, found: dict[int, Near], near: dict[int, Near]) -> Places:
        """Compare the rows of one block with each other, in order; fills `near` and gives the rows that stay clean."""
        bits = np.stack([distance(self._packed[i], self._packed[block]) for i in block])
        close = np.tril(bits <= self._limit_bits, -1)
        apart = self._apart(block)
        stayed = np.zeros(len(block), dtype=bool)
        for place, i in enumerate(block.tolist()):
            inside = np.flatnonzero(close[place] & stayed)
            options = [Near(int(block[c]), bits=int(bits[place, c])) for c in inside]
            options += [found[i]] if i in found and found[i].bits is not None else []
            if not options:
                options = self._agreeing(i, block[stayed], [one[place, stayed] for one in apart], found)
            if options:
                near[i] = min(options, key=_order)
            else:
                stayed[place] = True
        return block[stayed]

    def _apart(self, block: Places) -> list[Places]:
        """Bits by which the rows of the block differ, as they are and mirrored; too many where one has no phases."""
        known = self._known[block]
        if not known.any():
            return []
        bits = [np.stack([distance(words[i], self._words[0][block]) for i in block]) for words in self._words]
        return [np.where(known[:, None] & known, one, BITS) for one in bits]

    def _agreeing(self, i: int, inside: Places, apart: Sequence[Places], found: dict[int, Near]) -> list[Near]:
        """The earlier row that agrees best with one, if there is any: of its block, or already found."""
        kept = {i: found[i]} if i in found else {}
        for mirror, bits in enumerate(apart):
            close = np.flatnonzero(bits <= _LIMIT_BITS)
            close = close[self._one_colour(np.full(len(close), i), inside[close])]
            others = inside[close[np.argsort(bits[close], kind="stable")[:_CANDIDATES]]]
            if len(others):
                self._take_agreeing(np.stack([np.full(len(others), i), others], axis=1), bool(mirror), kept)
        return list(kept.values())

    def _take_agreeing(self, pairs: Places, mirror: bool, kept: dict[int, Near]) -> None:
        """Keep the best of these pairs (row, earlier row) for each row."""
        first, second = self._traits[mirror], self._traits[False]
        pairs = pairs[may_agree(first.codes[pairs[:, 0]], second.codes[pairs[:, 1]])]
        found = agree(first.codes[pairs[:, 0]], second.codes[pairs[:, 1]])
        for k in np.flatnonzero(found.share >= self._agreement).tolist():
            row, other = pairs[k].tolist()
            down, right = float(found.down[k]), float(found.right[k]) * (-1 if mirror else 1)
            one = Near(other, None, float(found.share[k]), mirror, down, right)
            kept[row] = min(kept.get(row, one), one, key=_order)


def _order(one: Near) -> tuple[int, float, bool, int]:
    """Near hashes first, then the better agreement; a mirror image has to be clearly better, so that a picture which is
    its own is not called one by chance."""
    if one.bits is not None:
        return (0, float(one.bits), False, one.place)
    return (1, _MIRROR_COSTS * one.mirrored - (one.agreement or 0.0), one.mirrored, one.place)
