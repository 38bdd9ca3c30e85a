"""Near rows among many: buckets of equal chunks of bits, so that few pairs are compared and fewer kept."""

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

        Where more meet than there are pairs, as among rows with most bits in common, all pairs are compared instead.

        Args:
            other: whose words the asked rows have; these buckets' own unless given.

        Yields:
            Asked rows, rows found among the indexed ones, bits between them.
        """
        source = other or self
        met = 0
        for column in range(self._chunks.shape[1]):
            values = self._chunks[indexed, column]
            by_value = indexed[np.argsort(values, kind="stable")]
            offsets = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << _CHUNK_BITS))])
            keys = (source._chunks[asked, column][:, None] ^ self._masks).astype(np.int64)
            starts, stops = offsets[keys], offsets[keys + 1]
            met += int((stops - starts).sum())
            if met > len(asked) * len(indexed):
                break
            row, slot = np.nonzero(stops > starts)
            for queries, places in _spans(asked[row], starts[row, slot], stops[row, slot]):
                yield self._close(source, queries, by_value[places], limit_bits)
        else:
            return
        none = np.zeros(len(asked), dtype=np.int64)
        for queries, places in _spans(asked, none, none + len(indexed)):
            yield self._close(source, queries, indexed[places], limit_bits)

    def _close(
        self, source: "Buckets", queries: Places, found: Places, limit_bits: int
    ) -> tuple[Places, Places, Places]:
        bits = distance(source._words[queries], self._words[found])
        close = bits <= limit_bits
        return queries[close], found[close], bits[close]


class Nearest:
    """For each row the others that are nearest to it in bits, of equals the earliest; memory is bounded by them.

    Args:
        rows: in all; a place is less.
        bits: more than a pair differs by.
        most: others that are kept for each row.
    """

    def __init__(self, rows: int, *, bits: int, most: int) -> None:
        self._rows, self._bits, self._most = rows, bits, most
        self._keys = np.zeros(0, dtype=np.int64)

    def add(self, queries: Places, found: Places, bits: Places) -> None:
        """Pairs and how many bits they differ by; one that comes twice counts once."""
        keys = np.unique(np.concatenate([self._keys, (queries * self._bits + bits) * self._rows + found]))
        first = keys // (self._bits * self._rows)
        self._keys = keys[np.arange(len(keys)) - np.searchsorted(first, first) < self._most]

    def hits(self) -> Places:
        """Rows of (row, other, bits), by row, the nearest first."""
        pairs, found = np.divmod(self._keys, self._rows)
        queries, bits = np.divmod(pairs, self._bits)
        return np.stack([queries, found, bits], axis=1)


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
