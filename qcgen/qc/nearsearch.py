"""Near rows among many: buckets of equal chunks of bits, so that few pairs are compared."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_CHUNK_BITS = 16
_PAIRS_AT_ONCE = 500_000

Words = npt.NDArray[np.uint64]
"""Bits of each row, `n w`."""
Places = npt.NDArray[np.int64]


class Buckets:
    """Rows by their chunks of 16 bits.

    Args:
        words: of every row that may be asked for or found.
        flips: bits by which a chunk may differ and still meet.
    """

    def __init__(self, words: Words, *, flips: int) -> None:
        self._words, self._chunks = words, _chunks(words)
        self._masks = _masks(flips)

    def near(
        self, asked: Places, indexed: Places, *, limit_bits: int, other: "Buckets | None" = None
    ) -> Iterator[tuple[Places, Places, Places]]:
        """Pairs that share a chunk, give or take the flips, and differ in at most `limit_bits`, some of them twice.

        Args:
            other: whose words the asked rows have; these buckets' own unless given.

        Yields:
            Asked rows, rows found among the indexed ones, bits between them.
        """
        source = other or self
        for column in range(self._chunks.shape[1]):
            values = self._chunks[indexed, column]
            by_value = indexed[np.argsort(values, kind="stable")]
            offsets = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << _CHUNK_BITS))])
            keys = (source._chunks[asked, column][:, None] ^ self._masks).astype(np.int64)
            starts, stops = offsets[keys], offsets[keys + 1]
            row, slot = np.nonzero(stops > starts)
            for queries, places in _spans(asked[row], starts[row, slot], stops[row, slot]):
                found = by_value[places]
                bits = distance(source._words[queries], self._words[found])
                close = bits <= limit_bits
                yield queries[close], found[close], bits[close]


def distance(first: Words, second: Words) -> Places:
    """Bits by which rows differ."""
    return np.asarray(np.bitwise_count(first ^ second).sum(-1, dtype=np.int64))


def _spans(queries: Places, starts: Places, stops: Places) -> Iterator[tuple[Places, Places]]:
    """Every (query, place) with start <= place < stop, half a million at a time so that memory stays bounded."""
    lengths = stops - starts
    edges = np.flatnonzero(np.diff(np.cumsum(lengths) // _PAIRS_AT_ONCE, prepend=0))
    for part in np.split(np.arange(len(queries)), edges):
        counts = lengths[part]
        total = int(counts.sum())
        if total:
            within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
            yield np.repeat(queries[part], counts), np.repeat(starts[part], counts) + within


def _chunks(words: Words) -> npt.NDArray[np.uint16]:
    # Neighbouring coefficients are correlated; shuffled over the chunks they fill the buckets more evenly.
    bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1)
    shuffle = np.random.default_rng(0).permutation(bits.shape[1])
    return np.ascontiguousarray(np.packbits(bits[:, shuffle], axis=1)).view(np.uint16)


def _masks(flips: int) -> npt.NDArray[np.uint16]:
    chosen = [combo for size in range(flips + 1) for combo in itertools.combinations(range(_CHUNK_BITS), size)]
    return np.array([sum(1 << bit for bit in combo) for combo in chosen], dtype=np.uint16)
