"""Two runs side by side: first attempts paired by prompt and seed where both have them, else by item."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcgen.core.types import Outcome, Row

Values = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_OUTCOMES = tuple(Outcome)
_MOST_VALUES = 60
_FIRST_FIELDS = ("product", "colour", "color", "category")
_HALF = 0.5

Key = tuple[str, str | int, int]


class Side:
    """One run's first attempts in columns, and what stands for each item. Call `add` for every attempt in order."""

    def __init__(self) -> None:
        self.by_seed: dict[Key, int] = {}
        self.by_item: dict[Key, int] = {}
        self.items: array[int] = array("q")
        self._first: array[int] = array("b")
        self._standing: dict[int, int] = {}
        self._joint: array[float] = array("d")
        self._measures: dict[str, array[float]] = {}
        self._fields: list[Mapping[str, str]] = []
        self._seen: Counter[tuple[str, str | int, bool]] = Counter()

    def add(self, row: Row) -> None:
        outcome = row.outcome if row.relpath is not None else Outcome.FAILED
        if row.current:
            self._standing[row.item_index] = _OUTCOMES.index(outcome)
        if row.attempt != 1:
            return
        place = len(self.items)
        self.by_seed[row.prompt, row.seed, self._copy(row.prompt, row.seed, True)] = place
        self.by_item[row.prompt, row.sku, self._copy(row.prompt, row.sku, False)] = place
        self.items.append(row.item_index)
        self._first.append(_OUTCOMES.index(outcome))
        self._joint.append(float("nan") if row.joint_p is None else row.joint_p)
        self._fields.append(row.fields)
        for name in row.measures.keys() - self._measures.keys():
            self._measures[name] = array("d", [float("nan")]) * place
        for name, column in self._measures.items():
            column.append(row.measures.get(name, float("nan")))

    def detectors(self) -> frozenset[str]:
        return frozenset(self._measures)

    def values(self, detector: str) -> Values:
        """NaN where it could not score."""
        return np.array(self._measures[detector])

    def first(self) -> Places:
        return np.array(self._first, dtype=np.int64)

    def standing(self) -> Places:
        """-1 where an item has no attempt that stands."""
        return np.array([self._standing.get(item, -1) for item in self.items], dtype=np.int64)

    def joint(self) -> Values:
        return np.array(self._joint)

    def field(self, name: str) -> list[str]:
        return [fields.get(name, "") for fields in self._fields]

    def fields(self) -> list[str]:
        """Those with a few repeated values, product and colour first."""
        names = {name for fields in self._fields for name in fields}
        fit = [name for name in names if 2 <= len(set(self.field(name))) <= _MOST_VALUES]
        order = {name: place for place, name in enumerate(_FIRST_FIELDS)}
        return sorted(fit, key=lambda name: (order.get(name.lower(), len(order)), name))

    def _copy(self, prompt: str, other: str | int, by_seed: bool) -> int:
        self._seen[prompt, other, by_seed] += 1
        return self._seen[prompt, other, by_seed]


@dataclass(frozen=True, slots=True)
class Pairs:
    """`how`: seed or item. `one`, `other`: places of the pairs in both sides."""

    how: str
    one: Places
    other: Places
    unpaired: tuple[int, int]


def pair(one: Side, other: Side) -> Pairs:
    """By (prompt, seed), the same noise; by (prompt, SKU, copy) where fewer than half of the smaller run agree so."""
    found = {}
    for how, left, right in (("seed", one.by_seed, other.by_seed), ("item", one.by_item, other.by_item)):
        keys = [key for key in left if key in right]
        found[how] = (np.array([left[key] for key in keys], np.int64), np.array([right[key] for key in keys], np.int64))
    enough = len(found["seed"][0]) >= _HALF * min(len(one.items), len(other.items))
    how = "seed" if enough or len(found["seed"][0]) >= len(found["item"][0]) else "item"
    places = found[how]
    return Pairs(how, *places, (len(one.items) - len(places[0]), len(other.items) - len(places[1])))


def read_side(rows: Iterable[Row]) -> Side:
    """Of every attempt of a run."""
    side = Side()
    for row in rows:
        side.add(row)
    return side


def accepted(outcomes: Places) -> Values:
    return np.asarray(outcomes == _OUTCOMES.index(Outcome.ACCEPT), dtype=np.float64)


def outcome_names() -> tuple[str, ...]:
    return tuple(str(outcome) for outcome in _OUTCOMES)
