"""Acceptance sampling of pictures that passed: how many to look at, and how many bad ones a batch may show.

Rows of ISO 2859-1, general inspection level II, single sampling, normal inspection, for lots of 281 to 10,000.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
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


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawn picture with its stratum and the probability with which it was drawn."""

    image_id: str
    stratum: str
    inclusion_p: float


def draw_sample(seed: str, strata: Mapping[str, str], n: int, *, least: int | None = None) -> list[Drawn]:
    """At most n of the ids, in proportion to their strata and one of each at least; drawn again, they are the same.

    Every beginning of the list is in proportion too, so that a smaller sample is the first part of a larger one. Within
    a stratum the order depends on the seed and the ids alone. Where strata outnumber the smallest sample that will be
    used, the strata are given up: a stratum without a picture would say nothing of itself.

    Args:
        strata: the stratum of each id.
        least: the smallest part of the sample that will be used by itself; n unless given.
    """
    names = set(strata.values())
    if len(names) > min(n, n if least is None else least):
        strata, names = dict.fromkeys(strata, ""), {""}
    ordered = sorted(strata, key=lambda one: hashlib.sha256(f"{seed} {one}".encode()).digest())
    members: dict[str, list[str]] = {name: [] for name in sorted(names)}
    for one in ordered:
        members[strata[one]].append(one)
    # Sainte-Lague's quotients: unlike shares that are rounded, they never take a seat away when n grows.
    places = sorted(
        (place > 0, -len(ids) / (2 * place + 1), name, place)
        for name, ids in members.items()
        for place in range(min(n, len(ids)))
    )[:n]
    taken = Counter(name for _, _, name, _ in places)
    return [Drawn(members[name][place], name, taken[name] / len(members[name])) for _, _, name, place in places]
