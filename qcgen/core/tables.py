"""Item tables read into columns of text: CSV with the standard library, Parquet with pyarrow where it is installed."""

import csv
import importlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from qcgen.core.errors import PrerequisiteError
from qcgen.core.wording import Problems, file_name, names, plain, show

LONGEST_LINE = 1_000_000
SNIFFED = ";\t|"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as columns of text; equal cells share one string, so a row costs a few pointers.

    Attributes:
        name: what messages call the file.
        columns: name -> one text a row, surrounding blanks removed.
        lines: line of each row in the file (cells may hold line breaks); row numbers from 1 where there are no lines.
        unit: `line` or `row`, what `lines` counts.
    """

    name: str
    columns: Mapping[str, list[str]]
    lines: Sequence[int]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int, column: str) -> str:
        """`items.csv:17 colour`, or `items.parquet: row 16 colour`."""
        number = self.lines[row]
        place = f"{self.name}:{number}" if self.unit == "line" else f"{self.name}: row {number}"
        return f"{place} {plain(column)}:"

    def keep(self, rows: Sequence[int]) -> "Table":
        """A table of some of the rows."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return Table(self.name, columns, array("Q", (self.lines[row] for row in rows)), self.unit)


def read_table(path: Path, problems: Problems) -> Table | None:
    """Read a table by its ending; mistakes go to `problems`, None if it could not be read to its end.

    Raises:
        PrerequisiteError: a Parquet file and no pyarrow.
    """
    name = file_name(path)
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        problems.add("table", f"{name}: must be a .csv or .parquet file (got {show(path.suffix)}). Save it as CSV.")
        return None
    try:
        with path.open("rb") as file:
            return reader(file, name, problems)
    except FileNotFoundError:
        problems.add("table", f"{name}: no such file. Check items.table: its path starts at the job file's folder.")
    except _UnreadableTableError as error:
        problems.add("table", f"{name}{error}")
    except (OSError, ValueError) as error:
        reason = plain(str(getattr(error, "strerror", None) or error))
        problems.add("table", f"{name}: cannot be read ({reason}). Give a readable file.")
    return None


def check_header(header: Sequence[str], name: str, problems: Problems) -> bool:
    """Column names must be there, printable and told apart."""
    good = True
    for number, column in enumerate(header, start=1):
        if not column or not column.isprintable() or "{" in column or "}" in column:
            rule = f"column {number} needs a printable name without braces"
            problems.add("header", f"{name}:1: {rule} (got {show(column)}). Name it.")
            good = False
        elif column in header[: number - 1]:
            problems.add("header", f"{name}:1 {column}: is the name of two columns. Rename one.")
            good = False
    return good


class _UnreadableTableError(Exception):
    """The rest of the file makes no sense; the text follows the file's name in the message."""


def _read_csv(file: BinaryIO, name: str, problems: Problems) -> Table | None:
    reader = csv.reader(_lines(file), strict=True)
    try:
        header = [cell.strip(" \t") for cell in next(reader, [])]
        if not header:
            raise _UnreadableTableError(": is empty. It needs a header line with column names, and rows.")
        if len(header) == 1 and (marks := [mark for mark in SNIFFED if mark in header[0]]):
            got = show(marks[0])
            raise _UnreadableTableError(f":1: columns must be separated by commas (got {got}). Save it with commas.")
        if not check_header(header, name, problems):
            return None
        return _csv_rows(reader, header, name, problems)
    except csv.Error as error:
        cure = "Check the quotes on this line and above."
        raise _UnreadableTableError(f":{reader.line_num}: is not valid CSV ({error}). {cure}") from None


def _csv_rows(reader: "_CsvReader", header: list[str], name: str, problems: Problems) -> Table:
    lines = array("Q")
    columns: list[list[str]] = [[] for _ in header]
    known: list[dict[str, str]] = [{} for _ in header]
    line = reader.line_num + 1
    for cells in reader:
        if len(cells) == len(header):
            lines.append(line)
            for cell, column, seen in zip(cells, columns, known, strict=True):
                text = cell.strip(" \t")
                column.append(seen.setdefault(text, text))
        elif cells:  # a blank line has none and is nobody's mistake
            rule = f"must have {len(header)} cells like the header (got {len(cells)})"
            problems.add("ragged rows", f"{name}:{line}: {rule}. Put cells with commas in double quotes.")
        line = reader.line_num + 1
    return Table(name, dict(zip(header, columns, strict=True)), lines)


class _CsvReader(Protocol):
    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...


def _lines(file: BinaryIO) -> Iterator[str]:
    """Decoded lines; says at which line a file stops being text."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise _UnreadableTableError(":1: must be text in UTF-8 (got UTF-16). Save it as CSV UTF-8.")
        if b"\0" in line:
            got = "a NUL byte: a binary file?"
            raise _UnreadableTableError(f":{number}: must be text (got {got}). Save it as CSV UTF-8.")
        if len(line) >= LONGEST_LINE:
            rule = f"lines must be shorter than {LONGEST_LINE:,} bytes"
            raise _UnreadableTableError(f":{number}: {rule}. Save it as CSV with one row a line.")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            got = f"got byte 0x{line[error.start]:02x}"
            raise _UnreadableTableError(f":{number}: must be text in UTF-8 ({got}). Save it as CSV UTF-8.") from None


def _read_parquet(file: BinaryIO, name: str, problems: Problems) -> Table | None:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
    except ImportError:
        cure = "Run `pip install pyarrow`, or save the table as CSV."
        raise PrerequisiteError(f"{name}: Parquet needs the package pyarrow. {cure}") from None
    try:
        source = parquet.ParquetFile(file)
        header = [str(column) for column in source.schema_arrow.names]
        kinds = arrow.types
        nested = [f.name for f in source.schema_arrow if kinds.is_nested(f.type) or kinds.is_binary(f.type)]
        if nested:
            got = f"got lists, groups or bytes in {names(nested)}"
            raise _UnreadableTableError(f": columns must hold texts or numbers ({got}). Drop them.")
        if not check_header(header, name, problems):
            return None
        columns: list[list[str]] = [[] for _ in header]
        known: list[dict[str, str]] = [{} for _ in header]
        for batch in source.iter_batches(batch_size=10_000):
            for values, column, seen in zip(batch.columns, columns, known, strict=True):
                column.extend(seen.setdefault(text, text) for text in map(_text, values.to_pylist()))
    except arrow.ArrowException as error:
        first = plain(str(error).partition("\n")[0][:60])
        raise _UnreadableTableError(f": is not a readable Parquet file ({first}). Save it again, or as CSV.") from None
    return Table(name, dict(zip(header, columns, strict=True)), range(1, source.metadata.num_rows + 1), "row")


def _text(value: object) -> str:
    """A cell as a person would type it: a missing one is empty, 123.0 (an integer column with gaps) is 123."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip(" \t")
