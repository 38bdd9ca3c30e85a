"""Phases of a picture's low frequencies: what finds a copy that was moved or mirrored.

A shift turns each phase by an angle in proportion to its frequency, and a mirror swaps frequencies. So a whole family
of changed copies is compared from one stored code, without pixels: the agreement of two codes at the best of many
shifts is a phase correlation, and sums of phases in which a shift cancels (of the bispectrum) fill the buckets.

Sources: Kuglin & Hines 1975, "The phase correlation image alignment method"; Bartelt, Lohmann & Wirnitzer 1984, "Phase
and amplitude recovery from bispectra".
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_SIDE = 64
_RADIUS = 12
_LEVELS = 15
NONE = 15
"""The code of a frequency that the picture does not have: it agrees with nothing."""
_TRIPLES, _TRIPLE_RADIUS = 384, 6
BITS = 2 * _TRIPLES
_COARSE_RADIUS, _COARSE_LEAST = 6, 0.5
_AT_ONCE = 2048

_REACH = 4
"""Sixty-fourths of the picture's side: the largest shift that is tried, in steps of a half."""

Codes = npt.NDArray[np.uint8]
"""One of 15 angles a frequency, `n 220`."""
Words = npt.NDArray[np.uint64]
"""Bits that neither a shift nor the brightness changes much, `n 12`."""
Frequency = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Mean cosine of the phases' difference at the best shift, 1 at most, and that shift, of the side: `n` each."""

    share: npt.NDArray[np.float64]
    down: npt.NDArray[np.float64]
    right: npt.NDArray[np.float64]


def phase_codes(luma: Float[Tensor, "b 64 64"]) -> Codes:
    """Quantised phases of the frequencies up to 12 periods a side.

    The Laplacian takes out the ground, so that the window, which takes out the borders, leaves no trace of it.
    """
    padded = F.pad(luma[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    # Neighbours in pairs, so that a mirrored picture has the very same sums.
    edges = 4 * luma - (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]) - (padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:])
    window = torch.sin(math.pi * (torch.arange(_SIDE, dtype=luma.dtype) + 0.5) / _SIDE) ** 2
    # From the middle: mirroring then changes signs alone, without a factor that rounding could spoil.
    place = torch.arange(_SIDE, dtype=luma.dtype) - (_SIDE - 1) / 2
    angle = -2 * math.pi * torch.arange(-_RADIUS, _RADIUS + 1, dtype=luma.dtype)[:, None] * place / _SIDE
    down = torch.polar(window.expand_as(angle).contiguous(), angle)
    # A real product gives cosines and sines of the rows side by side; frequencies to the left are not asked for.
    right = torch.view_as_real(down[_RADIUS:].T.contiguous()).flatten(1)
    rows = torch.view_as_complex((edges @ right).unflatten(2, (-1, 2)))
    found = (down @ rows)[:, _DOWN + _RADIUS, _RIGHT].numpy()
    codes = np.rint(np.angle(found) / (2 * np.pi) * _LEVELS).astype(np.int64) % _LEVELS
    return np.where(np.abs(found) < 1e-6, NONE, codes).astype(np.uint8)


def mirrored(codes: Codes) -> Codes:
    """The codes of the pictures mirrored left to right."""
    swapped = codes[:, _MIRROR]
    turned = np.where(_MIRROR_SIGN > 0, swapped, (_LEVELS - swapped) % _LEVELS)
    return np.where(swapped == NONE, NONE, turned).astype(np.uint8)


def invariant_words(codes: Codes) -> Words:
    """768 bits a picture: in which half circle, and in which half turned by a quarter, each sum of phases lies."""
    parts = [_invariant_bits(codes[at : at + _AT_ONCE]) for at in range(0, len(codes), _AT_ONCE)]
    return np.concatenate([np.zeros((0, BITS // 64), np.uint64), *parts])


def _invariant_bits(codes: Codes) -> Words:
    first, second, both = (codes[:, places].astype(np.int16) for places in _PLACES)
    total = (first + second - both) % _LEVELS
    half = (_LEVELS + 1) // 2
    bits = np.concatenate([total < half, (total + _LEVELS // 4) % _LEVELS < half], axis=1)
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)


def agree(first: Codes, second: Codes) -> Agreement:
    """How well the phases agree, row by row, at the best shift of the first against the second."""
    parts = [_agree(first[at : at + _AT_ONCE], second[at : at + _AT_ONCE]) for at in range(0, len(first), _AT_ONCE)]
    share, down, right = np.concatenate(parts, axis=1) if parts else np.zeros((3, 0))
    return Agreement(share, down, right)


def may_agree(first: Codes, second: Codes) -> npt.NDArray[np.bool_]:
    """Which rows are worth `agree`: the lowest frequencies agree half at some shift, whole sixty-fourths alone."""
    best = [
        _correlate(first[at : at + _AT_ONCE, _LOW], second[at : at + _AT_ONCE, _LOW], _COARSE).max(1)
        for at in range(0, len(first), _AT_ONCE)
    ]
    return np.concatenate([np.zeros(0), *best]) >= _COARSE_LEAST * len(_LOW)


def _agree(first: Codes, second: Codes) -> npt.NDArray[np.float64]:
    found = _correlate(first, second, _FINE)
    best = found.argmax(1)
    share = found[np.arange(len(found)), best] / FREQUENCIES
    return np.stack([share, _SHIFTS[best, 0] / _SIDE, _SHIFTS[best, 1] / _SIDE]).astype(np.float64)


def _correlate(first: Codes, second: Codes, turns: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Sums of cosines for every shift; a frequency that one of both lacks adds nothing."""
    known = (first != NONE) & (second != NONE)
    angle = np.where(known, first.astype(np.int16) - second, 0) % _LEVELS
    parts = np.concatenate([_COSINE[angle] * known, _SINE[angle] * known], axis=1)
    return np.asarray(parts @ turns)


def _turns(shifts: npt.NDArray[np.float64], places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """What a shift turns each phase by, as cosines above sines."""
    turned = 2 * np.pi * (np.outer(_DOWN[places], shifts[:, 0]) + np.outer(_RIGHT[places], shifts[:, 1])) / _SIDE
    # The phase falls with a shift down or right: cos(a + t) = cos a cos t - sin a sin t.
    return np.concatenate([np.cos(turned), -np.sin(turned)]).astype(np.float32)


def _grid(step: float) -> npt.NDArray[np.float64]:
    steps = np.arange(-_REACH, _REACH + step / 2, step)
    # The nearest first: of shifts that do alike the least counts.
    return np.array(sorted(itertools.product(steps, steps), key=lambda one: (one[0] ** 2 + one[1] ** 2, one)))


def _half_plane(radius: int) -> list[Frequency]:
    """Frequencies (down, right); the others are their mirror images through the origin, with opposite phases."""
    axis = range(-radius, radius + 1)
    return [(v, u) for v in axis for u in range(radius + 1) if 0 < v * v + u * u <= radius**2 and (u > 0 or v > 0)]


def _triples() -> list[tuple[Frequency, Frequency, Frequency]]:
    """Two frequencies and their sum, the lowest first."""
    pairs = itertools.combinations_with_replacement(_half_plane(_TRIPLE_RADIUS), 2)
    found = [(a, b, (a[0] + b[0], a[1] + b[1])) for a, b in pairs]
    inside = [one for one in found if one[2][0] ** 2 + one[2][1] ** 2 <= _TRIPLE_RADIUS**2]
    return sorted(inside, key=lambda one: (sum(v * v + u * u for v, u in one), one))[:_TRIPLES]


_FREQUENCIES = _half_plane(_RADIUS)
FREQUENCIES = len(_FREQUENCIES)
_PLACE = {one: place for place, one in enumerate(_FREQUENCIES)}
_DOWN, _RIGHT = np.array(_FREQUENCIES).T
_SHIFTS = _grid(0.5)
_LOW = np.flatnonzero(_DOWN**2 + _RIGHT**2 <= _COARSE_RADIUS**2)
_FINE = _turns(_SHIFTS, np.arange(FREQUENCIES))
_COARSE = _turns(_grid(1.0), _LOW)
_CIRCLE = 2 * np.pi * np.arange(_LEVELS) / _LEVELS
_COSINE, _SINE = np.cos(_CIRCLE).astype(np.float32), np.sin(_CIRCLE).astype(np.float32)
_MIRROR = np.array([_PLACE[v, -u] if u == 0 else _PLACE[-v, u] for v, u in _FREQUENCIES])
_MIRROR_SIGN = np.where(_RIGHT == 0, 1, -1)
_PLACES = np.array([[_PLACE[one] for one in column] for column in zip(*_triples(), strict=True)])
