"""CSV that a spreadsheet opens without running anything: text that could start a formula is marked, numbers stay."""

import csv
import io
import json
import os
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from qcgen.core.errors import IntegrityError
from qcgen.core.review import Decision
from qcgen.core.types import Outcome, Row, RunInfo
from qcgen.report import decisionsout
from qcgen.report.decisionsout import DecisionRows
from qcgen.report.protocol import Cell, Link, Mark, Number, Table
from qcgen.report.tally import reasons_of

IMAGE_COLUMNS = (
    "run_id", "image_id", "sku", "prompt", "seed", "attempt", "model", "model_digest", "width", "height",
    "relpath", "file_sha256", "verdict", "reasons", "decision",
)  # fmt: skip
FLAG_COLUMNS = (
    "run_id", "image_id", "sku", "attempt", "current", "verdict", "kind", "severity", "message", "value", "threshold",
    "evidence",
)  # fmt: skip

_STARTS_FORMULA = frozenset("=+-@\t\r\n|%")
_Value = str | int | float | None


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


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[_Value]]) -> None:
    """Write all rows or nothing: the file appears under its name when it is complete."""
    with _replacing(path) as file:
        writer = csv.writer(_Lines(file))
        writer.writerow([make_safe(column) for column in columns])
        writer.writerows([_cell(value) for value in row] for row in rows)


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[_Value]]) -> bytes:
    """The same as a file's bytes, for a table that lies in memory anyway."""
    text = io.StringIO(newline="")
    writer = csv.writer(_Lines(text))
    writer.writerow([make_safe(column) for column in columns])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


class AttemptFiles:
    """images.csv, flags.csv and decisions.csv from one pass over every attempt.

    The detectors' columns are known only at the end, so rows wait in a spool file, not in memory.
    """

    def __init__(self, run: RunInfo, folder: Path, decisions: Iterable[Decision] = ()) -> None:
        self.attempts = 0
        self._decisions = DecisionRows(decisions)
        self._run = run
        self._folder = folder

    def write(self, rows: Iterable[Row]) -> None:
        names: set[str] = set()
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as spool,
            _replacing(self._folder / "flags.csv") as flag_file,
        ):
            flags = csv.writer(_Lines(flag_file))
            flags.writerow(FLAG_COLUMNS)
            for row in _in_order(rows):
                self.attempts += 1
                names.update(row.measures, row.unscored)
                spool.write(json.dumps([self._image(row), dict(row.measures)]) + "\n")
                flags.writerows([_cell(value) for value in flag] for flag in self._flags(row))
                self._decisions.see(row)
            spool.seek(0)
            ordered = sorted(names)
            columns = (*IMAGE_COLUMNS, *(f"m_{name}" for name in ordered))
            write_csv(self._folder / "images.csv", columns, _join(spool, ordered))
            write_csv(self._folder / "decisions.csv", decisionsout.COLUMNS, self._decisions.rows())

    def _image(self, row: Row) -> list[_Value]:
        run = self._run
        made = row.relpath is not None
        return [
            run.run_id, row.image_id, row.sku, row.prompt, row.seed, row.attempt, run.model, run.model_digest,
            row.width if made else None, row.height if made else None, row.relpath, row.file_sha256,
            str(_verdict(row)), ";".join(reasons_of(row)), row.decision,
        ]  # fmt: skip

    def _flags(self, row: Row) -> Iterator[list[_Value]]:
        start: list[_Value] = [
            self._run.run_id,
            row.image_id,
            row.sku,
            row.attempt,
            int(row.current),
            str(_verdict(row)),
        ]
        for found in row.reasons:
            evidence = json.dumps(dict(found.evidence), sort_keys=True, ensure_ascii=False) if found.evidence else None
            yield [*start, found.kind, str(found.severity), found.message, found.value, found.threshold, evidence]
        if not row.reasons:
            for kind, message in reasons_of(row).items():
                yield [*start, kind, "block", message, None, None, None]


def write_table(path: Path, table: Table) -> None:
    """A view's table with its numbers unrounded."""
    write_csv(path, [column.title for column in table.columns], ([_plain(cell) for cell in row] for row in table.rows))


def _verdict(row: Row) -> Outcome:
    return row.outcome if row.relpath is not None else Outcome.FAILED


def _in_order(rows: Iterable[Row]) -> Iterator[Row]:
    """The files must not depend on how a store happens to answer, so a wrong order is an error, not sorted away."""
    last = (-1, 0)
    for row in rows:
        place = (row.item_index, row.attempt)
        if place <= last:
            raise IntegrityError(f"rows must come in item order, then attempt: got {place} after {last}")
        last = place
        yield row


def _join(spool: TextIO, names: Sequence[str]) -> Iterator[list[_Value]]:
    for line in spool:
        fixed, measures = json.loads(line)
        yield [*fixed, *(measures.get(name) for name in names)]


def _plain(cell: Cell) -> _Value:
    if isinstance(cell, Number):
        return cell.value
    return cell.text if isinstance(cell, Link | Mark) else cell


def _cell(value: _Value) -> str:
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


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", errors="replace", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
