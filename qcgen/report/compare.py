"""Two runs against each other: what changed between them, on the same prompts and the same noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from qcgen.core.types import Row, RunInfo
from qcgen.report.paired import Difference, correct, difference, mcnemar, mean_interval
from qcgen.report.pairs import Pairs, Places, Side, Values, accepted, outcome_names, pair

ACCEPTED = "accepted"
_MOST_SLICED = 8
_FEWEST_SLICED = 8


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One value of a field; `cells` in the order of `Comparison.sliced`, None with too few pairs."""

    field: str
    value: str
    pairs: int
    cells: tuple[Difference | None, ...]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of paired items. `moves`: (from, to) -> pairs. `low`, `high`: 95 % interval of the difference in acceptance."""

    moves: Mapping[tuple[str, str], int]
    accepted_one: int
    accepted_other: int
    pairs: int
    low: float
    high: float
    p: float

    @property
    def change(self) -> float:
        return (self.accepted_other - self.accepted_one) / self.pairs


@dataclass(frozen=True, slots=True)
class Comparison:
    """Attributes:
    first: verdicts of first attempts, what the students do. standing: after retries, what would ship.
    sliced: names of the columns of `slices`.
    worst, drawn: (item of one, item of other) of the largest regressions, and of pairs drawn at random.
    """

    one: RunInfo
    other: RunInfo
    how: str
    pairs: int
    unpaired: tuple[int, int]
    first: Verdicts
    standing: Verdicts
    metrics: tuple[Difference, ...]
    sliced: tuple[str, ...]
    slices: tuple[SliceRow, ...]
    worst: tuple[tuple[int, int], ...]
    drawn: tuple[tuple[int, int], ...]


def compare(
    one: RunInfo, other: RunInfo, sides: tuple[Side, Side], *, signs: Mapping[str, int], shown: int = 12
) -> Comparison | None:
    """None where the two have no pair.

    Args:
        one: the reference.
        signs: by detector, 1 where a larger number is better, -1 where a smaller one is.
        shown: how many regressions, and how many random pairs.
    """
    pairs = pair(*sides)
    if not len(pairs.one):
        return None
    metrics = _metrics(sides, pairs, signs)
    sliced, slices = _slices(sides, pairs, metrics, signs)
    return Comparison(
        one=one,
        other=other,
        how=pairs.how,
        pairs=len(pairs.one),
        unpaired=pairs.unpaired,
        first=_verdicts(sides[0].first()[pairs.one], sides[1].first()[pairs.other]),
        standing=_verdicts(sides[0].standing()[pairs.one], sides[1].standing()[pairs.other]),
        metrics=metrics,
        sliced=sliced,
        slices=slices,
        worst=_items(sides, pairs, _regressions(sides, pairs)[:shown]),
        drawn=_items(sides, pairs, np.random.default_rng(0).permutation(len(pairs.one))[:shown]),
    )


def rows_of(items: Iterable[int], rows: Iterable[Row]) -> dict[int, Row]:
    """First attempts of these items."""
    wanted = frozenset(items)
    return {row.item_index: row for row in rows if row.attempt == 1 and row.item_index in wanted}


def _metrics(sides: tuple[Side, Side], pairs: Pairs, signs: Mapping[str, int]) -> tuple[Difference, ...]:
    names = sorted(sides[0].detectors() & sides[1].detectors())
    found = []
    for name in names:
        values = sides[0].values(name)[pairs.one], sides[1].values(name)[pairs.other]
        found.append(difference(name, *values, sign=signs.get(name, 0)))
    return correct([one for one in found if one is not None])


def _verdicts(one: Places, other: Places) -> Verdicts:
    names = (*outcome_names(), "none")
    moves: dict[tuple[str, str], int] = {}
    codes, counts = np.unique(one * 100 + other, return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        before = (code + 1) // 100
        moves[names[before], names[code - before * 100]] = count
    gaps: Values = accepted(other) - accepted(one)
    low, high = mean_interval(gaps)
    p = mcnemar(int((gaps > 0).sum()), int((gaps < 0).sum()))
    return Verdicts(moves, int(accepted(one).sum()), int(accepted(other).sum()), len(one), low, high, p)


def _slices(
    sides: tuple[Side, Side], pairs: Pairs, metrics: Sequence[Difference], signs: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[SliceRow, ...]]:
    """By the first two fields with repeated values: acceptance, and the detectors that moved most."""
    most = sorted(metrics, key=lambda found: -abs(found.effect))[:_MOST_SLICED]
    columns = {ACCEPTED: (accepted(sides[0].first())[pairs.one], accepted(sides[1].first())[pairs.other], 1)}
    for found in most:
        values = sides[0].values(found.name)[pairs.one], sides[1].values(found.name)[pairs.other]
        columns[found.name] = (*values, signs.get(found.name, 0))
    rows: list[tuple[str, str, int, list[Difference | None]]] = []
    for field in sides[0].fields()[:2]:
        given = np.array(sides[0].field(field), dtype=object)[pairs.one]
        for value in sorted(set(given.tolist())):
            inside = given == value
            if inside.sum() >= _FEWEST_SLICED:
                cells = [difference(name, a[inside], b[inside], sign=sign) for name, (a, b, sign) in columns.items()]
                rows.append((field, value, int(inside.sum()), cells))
    known = iter(correct([cell for cell in chain.from_iterable(row[3] for row in rows) if cell is not None]))
    judged = tuple(
        SliceRow(field, value, count, tuple(None if cell is None else next(known) for cell in cells))
        for field, value, count, cells in rows
    )
    return tuple(columns), judged


def _regressions(sides: tuple[Side, Side], pairs: Pairs) -> Places:
    """Places in `pairs` of those that fell: by how far the verdict did, then by the fall of the joint p."""
    ranks = np.array([2, 1, 0, 0])  # accept, review, reject, failed
    fell = ranks[sides[0].first()[pairs.one]] - ranks[sides[1].first()[pairs.other]]
    with np.errstate(divide="ignore", invalid="ignore"):
        slide = np.log(sides[0].joint()[pairs.one]) - np.log(sides[1].joint()[pairs.other])
    slide = np.nan_to_num(slide, nan=0.0, posinf=1e3, neginf=-1e3)
    order = np.lexsort((-slide, -fell))
    return np.asarray(order[(fell[order] > 0) | ((fell[order] == 0) & (slide[order] > 0))], dtype=np.int64)


def _items(sides: tuple[Side, Side], pairs: Pairs, places: Places) -> tuple[tuple[int, int], ...]:
    one, other = np.array(sides[0].items), np.array(sides[1].items)
    return tuple((int(one[pairs.one[place]]), int(other[pairs.other[place]])) for place in places.tolist())
