"""Control charts, as the gates and the trend report use them: Laney's p', individuals, EWMA, and the rules that
alarm. Pure; a night is one run."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, stdev

NEEDED_RUNS = 20
"""Nights below which the scatter between nights is not known, so that limits would be invented."""
LAMBDA, WIDTH, BASELINE = 0.2, 2.96, 25
"""Of the EWMA chart; its baseline is the first 25 nights."""
RUN_LENGTH = 8
_SIGMAS = 3.0
# Expected range of two standard normal values.
_D2 = 1.128


@dataclass(frozen=True, slots=True)
class Limits:
    """Three sigma to each side."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Laney:
    """Laney's p' chart. `between`: spread of nights over what their sizes explain, at least 1."""

    centre: float
    between: float

    def limits(self, size: int) -> Limits:
        """For a night of `size` items, within [0, 1]."""
        reach = _SIGMAS * math.sqrt(self.centre * (1 - self.centre)) / math.sqrt(size) * self.between
        return Limits(max(0.0, self.centre - reach), min(1.0, self.centre + reach))


def laney(past: Sequence[tuple[float, int]]) -> Laney:
    """From (share, items) of nights in time order, at least two.

    Plain binomial limits are too tight, as nights differ by their prompts; p' widens them by the variation seen between
    neighbours.

    Source: Laney 2002, Quality Engineering 14(4).
    """
    centre = sum(share * items for share, items in past) / sum(items for _, items in past)
    spread = math.sqrt(centre * (1 - centre))
    if spread == 0:
        return Laney(centre, 1.0)
    z = [(share - centre) / (spread / math.sqrt(items)) for share, items in past]
    return Laney(centre, max(1.0, _mean_range(z) / _D2))


@dataclass(frozen=True, slots=True)
class Individuals:
    """Chart of single values; sigma from the mean range of neighbours."""

    centre: float
    limits: Limits


def individuals(past: Sequence[float]) -> Individuals:
    """From values in time order, at least two."""
    centre, reach = fmean(past), _SIGMAS * _mean_range(past) / _D2
    return Individuals(centre, Limits(centre - reach, centre + reach))


@dataclass(frozen=True, slots=True)
class Ewma:
    """Exponentially weighted means of the nights after the baseline, and how far each may be from `centre`."""

    centre: float
    values: tuple[float, ...]
    reach: tuple[float, ...]


def ewma(nights: Sequence[float]) -> Ewma | None:
    """Z = lambda x + (1 - lambda) Z, from the mean of the first 25 nights on; None with no night after them."""
    if len(nights) <= BASELINE:
        return None
    centre, sigma = fmean(nights[:BASELINE]), stdev(nights[:BASELINE])
    z, values, reach = centre, [], []
    for after, night in enumerate(nights[BASELINE:], start=1):
        z = LAMBDA * night + (1 - LAMBDA) * z
        values.append(z)
        reach.append(WIDTH * sigma * math.sqrt(LAMBDA / (2 - LAMBDA) * (1 - (1 - LAMBDA) ** (2 * after))))
    return Ewma(centre, tuple(values), tuple(reach))


def one_sided_runs(values: Sequence[float], centre: float) -> frozenset[int]:
    """Places at which a run of 8 or more on one side of the centre stands; a value on the centre ends a run."""
    found, length, side = set(), 0, 0
    for place, value in enumerate(values):
        now = (value > centre) - (value < centre)
        length = length + 1 if now and now == side else int(now != 0)
        side = now
        if length >= RUN_LENGTH:
            found.add(place)
    return frozenset(found)


def false_alarms(nights: int, charts: int) -> tuple[float, float]:
    """Expected (points beyond three sigma, runs of 8 that begin to count) where nothing happens, with known limits."""
    beyond = math.erfc(_SIGMAS / math.sqrt(2))
    # A run's eighth point: the point before the run lies on the other side; the first seven nights cannot be one.
    runs = 2 * 0.5 ** (RUN_LENGTH + 1)
    begun = 2 * 0.5**RUN_LENGTH
    counted = 0.0 if nights < RUN_LENGTH else begun + runs * (nights - RUN_LENGTH)
    return charts * nights * beyond, charts * counted


def typical(values: Sequence[float]) -> float | None:
    """The median; None of nothing."""
    return median(values) if values else None


def _mean_range(values: Sequence[float]) -> float:
    return sum(abs(after - before) for before, after in pairwise(values)) / (len(values) - 1)
