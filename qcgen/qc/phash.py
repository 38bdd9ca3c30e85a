"""256-bit perceptual hashes, batched, and duplicates among many of them."""

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, UInt8
from scipy import sparse
from torch import Tensor

from qcgen.core.types import Finding, Severity

_SIDE = 64
_LOW = 16
_BITS = _LOW * _LOW
_CHUNKS = 16
_CHUNK_BITS = _BITS // _CHUNKS
_BLOCK = 1024
_PAIRS_AT_ONCE = 4_000_000

Hashes = npt.NDArray[np.uint64]


def phash(images: UInt8[Tensor, "b 3 h w"]) -> list[str]:
    """64 hex digits a picture: signs of the 16x16 lowest DCT coefficients of luma at 64x64 against their median.

    In float64 and per picture, so that a hash does not depend on the batch it was made in.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions".
    """
    low = low_frequencies(luma_64(images))
    bits = low.flatten(1) > low.flatten(1).quantile(0.5, dim=1, keepdim=True)
    packed = np.packbits(bits.numpy(), axis=1)
    return [row.tobytes().hex() for row in packed]


def luma_64(images: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 64 64"]:
    """Rec. 601 luma, shrunk (or stretched) to 64x64."""
    return torch.stack([torch.from_numpy(_shrunk(one)) for one in images.cpu()])


def _shrunk(image: UInt8[Tensor, "3 h w"]) -> npt.NDArray[np.float64]:
    red, green, blue = (channel.double() for channel in image)
    luma = red.mul_(0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114).numpy()
    # Each pixel counts for two cells along an axis at most: a sparse product reads the picture once.
    down = _shrinking(luma.shape[0]) @ luma
    return np.ascontiguousarray((_shrinking(luma.shape[1]) @ down.T).T)


@lru_cache(maxsize=64)
def _shrinking(length: int) -> sparse.csr_array:
    """Bilinear resampling along an axis with antialiasing, as `interpolate(antialias=True)`: triangles of two cells."""
    scale = length / _SIDE
    centres = scale * (np.arange(_SIDE) + 0.5)
    distance = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = (1 - distance).clip(min=0)
    return sparse.csr_array(weights / weights.sum(1, keepdims=True))


def low_frequencies(luma: Float[Tensor, "b 64 64"]) -> Float[Tensor, "b 16 16"]:
    """The lowest 16x16 coefficients of the orthonormal DCT-II; what rounding leaves of a zero is set to zero."""
    position = torch.arange(_SIDE, dtype=torch.float64) + 0.5
    frequency = torch.arange(_LOW, dtype=torch.float64)[:, None]
    basis = torch.cos(math.pi * frequency * position / _SIDE) * math.sqrt(2 / _SIDE)
    basis[0] /= math.sqrt(2)
    low = torch.einsum("ui,bij,vj->buv", basis, luma, basis)
    return torch.where(low.abs() < 1e-6, 0.0, low)


def find_duplicates(hashes: Sequence[tuple[str, str, str]], *, limit_bits: int = 24) -> dict[str, Finding]:
    """Which images repeat an earlier one; the order given decides who is earlier.

    Args:
        hashes: (image id, SHA-256 of the pixels, pHash) of each image, in the order of the job.
        limit_bits: largest Hamming distance, of 256, that counts as near.

    Returns:
        A finding for each image with the pixels of an earlier one (`exact_duplicate`, rejects) or near to an earlier
        one that is no duplicate itself (`near_duplicate`, asks for a person). One image of each group stays clean, and
        every image named as neighbour is clean and within the limit: no chains.
    """
    findings: dict[str, Finding] = {}
    first_with: dict[str, str] = {}
    fresh: list[tuple[str, str]] = []
    for image_id, sha256, digits in hashes:
        if sha256 in first_with:
            findings[image_id] = _exact(first_with[sha256])
        else:
            first_with[sha256] = image_id
            fresh.append((image_id, digits))
    if not fresh:
        return findings
    packed = np.frombuffer(bytes.fromhex("".join(digits for _, digits in fresh)), dtype=np.uint64).reshape(-1, 4)
    for place, (neighbour, bits) in find_near(packed, limit_bits).items():
        findings[fresh[place][0]] = _near(fresh[neighbour][0], bits, limit_bits)
    return findings


def find_near(packed: Hashes, limit_bits: int) -> dict[int, tuple[int, int]]:
    """For each row near to an earlier clean row: that row (the nearest, then the earliest) and the distance.

    Rows within 24 bits share one of 16 chunks up to 24 // 16 = 1 bit, so only rows that meet in a bucket are compared.
    Clean rows alone are indexed, which keeps a batch that has collapsed to one picture as cheap as any other.
    """
    near: dict[int, tuple[int, int]] = {}
    chunks = _chunks(packed)
    masks = _masks(limit_bits // _CHUNKS)
    clean = np.zeros(0, dtype=np.int64)
    for start in range(0, len(packed), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(packed)))
        found = _search(packed, chunks, clean, block, masks=masks, limit_bits=limit_bits)
        stayed = _settle(packed, block, found, limit_bits)
        near.update(found)
        clean = np.concatenate([clean, stayed])
    return near


def _search(
    packed: Hashes,
    chunks: npt.NDArray[np.uint16],
    clean: npt.NDArray[np.int64],
    block: npt.NDArray[np.int64],
    *,
    masks: npt.NDArray[np.uint16],
    limit_bits: int,
) -> dict[int, tuple[int, int]]:
    """Nearest clean row of earlier blocks, for the rows of this block that have one."""
    hits: list[npt.NDArray[np.int64]] = []
    for column in range(_CHUNKS):
        values = chunks[clean, column]
        by_value = clean[np.argsort(values, kind="stable")]
        offsets = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << _CHUNK_BITS))])
        keys = (chunks[block, column][:, None] ^ masks).astype(np.int64)
        starts, stops = offsets[keys], offsets[keys + 1]
        row, slot = np.nonzero(stops > starts)
        for queries, places in _spans(block[row], starts[row, slot], stops[row, slot]):
            others = by_value[places]
            bits = _distance(packed[queries], packed[others])
            close = bits <= limit_bits
            hits.append(np.stack([queries[close], bits[close], others[close]], axis=1))
    return _best(np.concatenate(hits)) if hits else {}


def _settle(
    packed: Hashes, block: npt.NDArray[np.int64], found: dict[int, tuple[int, int]], limit_bits: int
) -> npt.NDArray[np.int64]:
    """Compare the rows of one block with each other, in order; completes `found` and gives the rows that stay clean."""
    distance = np.stack([_distance(packed[i], packed[block]) for i in block])
    close = np.tril(distance <= limit_bits, -1)
    stayed = np.zeros(len(block), dtype=bool)
    for place, i in enumerate(block.tolist()):
        candidates = np.flatnonzero(close[place] & stayed)
        options = [(int(distance[place, c]), int(block[c])) for c in candidates]
        if i in found:
            neighbour, bits = found[i]
            options.append((bits, neighbour))
        if options:
            bits, neighbour = min(options)
            found[i] = (neighbour, bits)
        else:
            stayed[place] = True
    return block[stayed]


def _spans(
    queries: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Every (query, place) with start <= place < stop, some millions at a time so that memory stays bounded."""
    lengths = stops - starts
    edges = np.flatnonzero(np.diff(np.cumsum(lengths) // _PAIRS_AT_ONCE, prepend=0))
    for part in np.split(np.arange(len(queries)), edges):
        counts = lengths[part]
        total = int(counts.sum())
        if total:
            within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
            yield np.repeat(queries[part], counts), np.repeat(starts[part], counts) + within


def _best(hits: npt.NDArray[np.int64]) -> dict[int, tuple[int, int]]:
    ordered = hits[np.lexsort((hits[:, 2], hits[:, 1], hits[:, 0]))]
    rows, at = np.unique(ordered[:, 0], return_index=True)
    return {int(i): (int(ordered[k, 2]), int(ordered[k, 1])) for i, k in zip(rows, at, strict=True)}


def _distance(first: Hashes, second: Hashes) -> npt.NDArray[np.int64]:
    return np.asarray(np.bitwise_count(first ^ second).sum(-1, dtype=np.int64))


def _chunks(packed: Hashes) -> npt.NDArray[np.uint16]:
    # Neighbouring coefficients are correlated; shuffled over the chunks they fill the buckets more evenly.
    shuffle = np.random.default_rng(0).permutation(_BITS)
    bits = np.unpackbits(np.ascontiguousarray(packed).view(np.uint8), axis=1)[:, shuffle]
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint16)


def _masks(radius: int) -> npt.NDArray[np.uint16]:
    flips = [combo for size in range(radius + 1) for combo in itertools.combinations(range(_CHUNK_BITS), size)]
    return np.array([sum(1 << bit for bit in combo) for combo in flips], dtype=np.uint16)


def _exact(neighbour: str) -> Finding:
    return Finding(
        kind="exact_duplicate",
        severity=Severity.BLOCK,
        message=f"exact_duplicate: the same pixels as image {neighbour}.",
        evidence={"neighbour": neighbour},
    )


def _near(neighbour: str, bits: int, limit_bits: int) -> Finding:
    return Finding(
        kind="near_duplicate",
        severity=Severity.WARN,
        message=f"near_duplicate: {bits} of {_BITS} hash bits differ from image {neighbour} (limit {limit_bits}).",
        value=float(bits),
        threshold=float(limit_bits),
        evidence={"neighbour": neighbour},
    )
