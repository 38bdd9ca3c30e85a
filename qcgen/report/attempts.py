"""images, flags and decisions as CSV and Parquet, from one pass over every attempt."""

import json
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Outcome, Row, RunInfo
from qcgen.report.columns import DECISIONS, FLAGS, IMAGES, RowTable, Value
from qcgen.report.csvout import CsvFile
from qcgen.report.parquet import ParquetFile
from qcgen.report.tally import reasons_of

ROW_FORMATS = ("csv", "parquet")


class AttemptFiles:
    """The detectors' columns are known only at the end, so rows wait in a spool file, not in memory."""

    def __init__(self, run: RunInfo, folder: Path, formats: Collection[str] = ("csv",)) -> None:
        self.attempts = 0
        self._run = run
        self._folder = folder
        self._formats = [one for one in ROW_FORMATS if one in formats]

    def write(self, rows: Iterable[Row]) -> None:
        """Raises IntegrityError where the rows are not in item order, then attempt."""
        names: set[str] = set()
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as spool:
            with ExitStack() as stack:
                flags, decisions = (self._open(table, stack) for table in (FLAGS, DECISIONS))
                for row in _in_order(rows):
                    self.attempts += 1
                    names.update(row.measures, row.unscored)
                    spool.write(json.dumps([self._image(row), dict(row.measures)]) + "\n")
                    for flag in self._flags(row):
                        flags.add(flag)
                    if row.decision is not None:
                        decisions.add(self._decision(row))
            self._join(spool, sorted(names))

    def _join(self, spool: TextIO, names: list[str]) -> None:
        spool.seek(0)
        with ExitStack() as stack:
            images = self._open(IMAGES.with_metrics(names), stack)
            for line in spool:
                fixed, measures = json.loads(line)
                images.add([*fixed, *(measures.get(name) for name in names)])

    def _open(self, table: RowTable, stack: ExitStack) -> "_Files":
        files: list[CsvFile | ParquetFile] = []
        for one in self._formats:
            path = self._folder / f"{table.name}.{one}"
            if one == "csv":
                files.append(stack.enter_context(CsvFile(path, table.columns)))
            else:
                files.append(stack.enter_context(ParquetFile(path, table)))
        return _Files(files)

    def _image(self, row: Row) -> list[Value]:
        run = self._run
        made = row.relpath is not None
        return [
            run.run_id, row.image_id, row.sku, row.prompt, row.seed, row.attempt, run.model, run.model_digest,
            row.width if made else None, row.height if made else None, row.relpath, row.file_sha256,
            str(_verdict(row)), ";".join(reasons_of(row)), row.decision,
        ]  # fmt: skip

    def _flags(self, row: Row) -> Iterator[list[Value]]:
        start: list[Value] = [
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

    def _decision(self, row: Row) -> list[Value]:
        return [self._run.run_id, row.image_id, row.sku, row.attempt, row.file_sha256, str(_verdict(row)), row.decision]


class _Files:
    """One table in every format that was asked for."""

    def __init__(self, files: list[CsvFile | ParquetFile]) -> None:
        self._files = files

    def add(self, row: list[Value]) -> None:
        for file in self._files:
            file.add(row)


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
