"""Acceptance sampling of pictures that passed: how many to look at, and how many bad ones a batch may show.

Rows of ISO 2859-1, general inspection level II, single sampling, normal inspection, for lots of 281 to 10,000.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import bdtr

AQLS = (1.0, 2.5, 4.0)
# Largest lot, sample, acceptance numbers for the AQLs above.
_ROWS = ((500, 50, (1, 3, 5)), (1200, 80, (2, 5, 7)), (3200, 125, (3, 7, 10)), (10_000, 200, (5, 10, 14)))


@dataclass(frozen=True, slots=True)
class Plan:
    """Look at `n`; accept if at most `accept` are bad."""

    n: int
    accept: int

    def chance(self, share: float) -> float:
        """Of accepting a batch with this share of bad pictures: a point of the operating characteristic."""
        return float(bdtr(self.accept, self.n, share))


def plan_for(lot: int, aql: float) -> Plan:
    """The standard's row; smaller lots use the first row (all, if there are fewer), larger ones the last.

    What a plan lets through depends on n and the acceptance number, hardly on the lot.
    """
    n, accept = next(((n, accept) for most, n, accept in _ROWS if lot <= most), _ROWS[-1][1:])
    return Plan(min(n, lot), accept[AQLS.index(aql)])


def draw_sample(seed: str, ids: Iterable[str], n: int) -> list[str]:
    """The n ids that come first in an order that depends on the seed alone: drawn again, the sample is the same."""
    return sorted(ids, key=lambda one: hashlib.sha256(f"{seed} {one}".encode()).digest())[:n]
