"""Where items come from: a table (a file or inline) or a matrix. Rows are made when asked for, none is kept."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from qcgen.core.sku import slug
from qcgen.core.tables import Table

SKU = "sku"
_CHUNK = 10_000


class Source(Protocol):
    """Rows by number, 0-based, each in constant time."""

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> Sequence[str]: ...

    def row(self, number: int) -> dict[str, str]: ...

    def sku(self, number: int) -> str: ...

    def distinct(self, column: str) -> list[str]:
        """The column's values, each once, in order of appearance."""
        ...

    def combinations(self, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """Each combination of these columns' values that occurs, once, in order of appearance."""
        ...

    def digest(self) -> str:
        """A hash of all rows in their order."""
        ...


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows of a table that has a `sku` column."""

    table: Table

    @property
    def rows(self) -> int:
        return len(self.table)

    @property
    def columns(self) -> Sequence[str]:
        return tuple(self.table.columns)

    def row(self, number: int) -> dict[str, str]:
        return {name: cells[number] for name, cells in self.table.columns.items()}

    def sku(self, number: int) -> str:
        return self.table.columns[SKU][number]

    def distinct(self, column: str) -> list[str]:
        return list(dict.fromkeys(self.table.columns[column]))

    def combinations(self, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        if not columns:
            return iter([()] if self.rows else [])
        return iter(dict.fromkeys(zip(*(self.table.columns[column] for column in columns), strict=True)))

    def digest(self) -> str:
        total = hashlib.sha256()
        for name in sorted(self.table.columns):
            cells = self.table.columns[name]
            total.update(_json([name, len(cells)]))
            for start in range(0, len(cells), _CHUNK):
                total.update(_json(cells[start : start + _CHUNK]))
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class MatrixSource:
    """All combinations of the axes' values, first axis slowest: a row number is a mixed-radix number."""

    axes: Mapping[str, tuple[str, ...]]
    separator: str

    @property
    def rows(self) -> int:
        return math.prod(len(values) for values in self.axes.values())

    @property
    def columns(self) -> Sequence[str]:
        return tuple(self.axes)

    def row(self, number: int) -> dict[str, str]:
        fields: dict[str, str] = {}
        for name, values in reversed(list(self.axes.items())):
            number, digit = divmod(number, len(values))
            fields[name] = values[digit]
        return {name: fields[name] for name in self.axes}

    def sku(self, number: int) -> str:
        fields = self.row(number)
        return fields[SKU] if SKU in fields else self.separator.join(slug(value) for value in fields.values())

    def distinct(self, column: str) -> list[str]:
        return list(dict.fromkeys(self.axes[column]))

    def combinations(self, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
        return product(*(self.axes[column] for column in columns))

    def digest(self) -> str:
        return hashlib.sha256(_json([[name, list(values)] for name, values in self.axes.items()])).hexdigest()


def make_matrix(axes: Mapping[str, tuple[str, ...]]) -> MatrixSource:
    """A matrix whose rows get different names: joined by a hyphen, by two where one could be read in two ways."""
    hyphened = sum(any("-" in slug(value) for value in values) for values in axes.values())
    return MatrixSource(axes, "-" if hyphened <= 1 else "--")


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
