"""Parquet files of the row tables: exact values, written by row groups. Needs pyarrow, which is optional."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, TracebackType

from qcgen.core.errors import PrerequisiteError
from qcgen.report.columns import SCHEMA_VERSION, RowTable, Value

GROUP_ROWS = 8192


def require_parquet() -> tuple[ModuleType, ModuleType]:
    """pyarrow and pyarrow.parquet.

    Raises:
        PrerequisiteError: pyarrow is not installed.
    """
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        cure = "Cure: pip install 'qcgen[parquet]', or leave parquet out of report.formats and --format"
        raise PrerequisiteError(f"report.formats parquet: needs the package pyarrow. {cure}.") from None


class ParquetFile:
    """A sink of rows; the file appears under its name when it is complete. At most one row group waits in memory."""

    def __init__(self, path: Path, table: RowTable) -> None:
        self._arrow, parquet = require_parquet()
        kinds = {"text": self._arrow.string(), "integer": self._arrow.int64(), "real": self._arrow.float64()}
        told = {"qcgen.table": table.name, "qcgen.schema": str(SCHEMA_VERSION)}
        self._schema = self._arrow.schema(
            [self._arrow.field(field.name, kinds[field.kind]) for field in table.fields], metadata=told
        )
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._waiting: list[tuple[Value, ...]] = []
        self._writer = parquet.ParquetWriter(self._part, self._schema, compression="zstd")

    def add(self, row: Sequence[Value]) -> None:
        self._waiting.append(tuple(row))
        if len(self._waiting) == GROUP_ROWS:
            self._flush()

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            if kind is None:
                _settle(self._part)
                os.replace(self._part, self._path)
        finally:
            self._part.unlink(missing_ok=True)

    def _flush(self) -> None:
        if not self._waiting:
            return
        columns = [
            self._arrow.array([_whole(value) for value in column], type=field.type)
            for column, field in zip(zip(*self._waiting, strict=True), self._schema, strict=True)
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))
        self._waiting.clear()


def _whole(value: Value) -> Value:
    """Half a surrogate pair has no UTF-8; it becomes a question mark, as in the CSV."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "replace").decode("utf-8")
    return value


def _settle(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
