"""CSV that a spreadsheet opens without running anything: text that could start a formula is marked, numbers stay."""

import csv
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TextIO

from qcgen.report.columns import Value
from qcgen.report.protocol import Cell, Heat, Link, Mark, Number, Table

_STARTS_FORMULA = frozenset("=+-@\t\r\n|%")


def make_safe(text: str) -> str:
    """Text for one CSV cell. A leading apostrophe is added before anything that a spreadsheet may read as a formula.

    Full-width signs count as their plain forms (some locales fold them), white space before a sign does not hide it,
    and a NUL, which ends the cell for some readers, becomes the replacement character.
    """
    clean = text.replace("\0", "\ufffd")
    shown = unicodedata.normalize("NFKC", clean.lstrip(" \u00a0\u200b\ufeff\u3000"))
    if clean != text or clean[:1] in _STARTS_FORMULA or shown[:1] in _STARTS_FORMULA:
        return "'" + clean
    return clean


class CsvFile:
    """A sink of rows; the file appears under its name when it is complete."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._file = self._part.open("w", encoding="utf-8", errors="replace", newline="")
        self._writer = csv.writer(_Lines(self._file))
        self.add(columns)

    def add(self, row: Sequence[Value]) -> None:
        self._writer.writerow([_cell(value) for value in row])

    def __enter__(self) -> "CsvFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
            if kind is None:
                os.replace(self._part, self._path)
        finally:
            self._part.unlink(missing_ok=True)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> None:
    """Write all rows or nothing."""
    with CsvFile(path, columns) as file:
        for row in rows:
            file.add(row)


def write_table(path: Path, table: Table) -> None:
    """A view's table with its numbers unrounded."""
    write_csv(path, [column.title for column in table.columns], ([_plain(cell) for cell in row] for row in table.rows))


def _plain(cell: Cell) -> Value:
    if isinstance(cell, Number | Heat):
        return cell.value
    return cell.text if isinstance(cell, Link | Mark) else cell


def _cell(value: Value) -> str:
    """Numbers in their shortest exact form, text made safe, None empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return make_safe(value)
    return repr(value)


class _Lines:
    """Ends lines with a plain newline; asked for that, csv.writer would leave a carriage return in a cell unquoted."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> int:
        return self._file.write(line.removesuffix("\r\n") + "\n")
