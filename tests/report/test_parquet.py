"""Parquet: the CSV's rows, exact."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from qcgen.report.attempts import AttemptFiles
from qcgen.report.columns import DECISIONS, FLAGS, IMAGES, RowTable
from qcgen.report.parquet import GROUP_ROWS, ParquetFile
from tests.report import synthetic
from tests.report.test_csv import decisions_on

ITEMS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = synthetic.make_synthetic(ITEMS, pictures=[b""])
    rows = [replace(row, decision="accept" if row.item_index % 3 else None) for row in made.everything]
    path = tmp_path_factory.mktemp("tables")
    AttemptFiles(made.run, path, ("csv", "parquet"), decisions_on(rows)).write(rows)
    return path


@pytest.mark.parametrize("name", ["images", "flags", "decisions"])
def test_columns_order_and_values_are_those_of_the_csv(folder: Path, name: str) -> None:
    table = parquet.read_table(folder / f"{name}.parquet")
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert table.column_names == reader.fieldnames
    assert table.num_rows == len(rows) > 50
    for exact, text in zip(table.to_pylist(), rows, strict=True):
        assert {key: "" if value is None else str(value) for key, value in exact.items()} == {
            key: value.removeprefix("'") for key, value in text.items()
        }


def test_the_schema_is_named_in_the_file_and_types_are_the_declared_ones(folder: Path) -> None:
    kinds = {"text": "string", "integer": "int64", "real": "double"}
    for table in (IMAGES, FLAGS, DECISIONS):
        schema = parquet.read_schema(folder / f"{table.name}.parquet")
        assert schema.metadata[b"qcgen.schema"] == b"1"
        assert [(field.name, str(field.type)) for field in schema][: len(table.fields)] == [
            (field.name, kinds[field.kind]) for field in table.fields
        ]


def test_same_run_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    made = synthetic.make_synthetic(ITEMS, pictures=[b""])
    for place in (tmp_path / "one", tmp_path / "two"):
        place.mkdir()
        AttemptFiles(made.run, place, ("parquet",)).write(made.everything)
    for name in ("images", "flags", "decisions"):
        assert (tmp_path / "one" / f"{name}.parquet").read_bytes() == (
            tmp_path / "two" / f"{name}.parquet"
        ).read_bytes()


def test_rows_are_written_by_groups_and_odd_text_survives(tmp_path: Path) -> None:
    table = RowTable("t", "", IMAGES.fields[2:5])
    odd = ("=1+1", "a\x00b", "\ud800", "\U0001f9e5", "")
    with ParquetFile(tmp_path / "t.parquet", table) as file:
        for number in range(GROUP_ROWS + 1):
            file.add((odd[number % len(odd)], None, number))
    read = parquet.ParquetFile(tmp_path / "t.parquet")
    assert read.num_row_groups == 2
    assert read.read().column(0).to_pylist()[:5] == ["=1+1", "a\x00b", "?", "\U0001f9e5", ""]


def test_a_broken_writer_leaves_no_file(tmp_path: Path) -> None:
    # Seven columns are declared; the last row has one.
    with pytest.raises(ValueError, match="zip"), ParquetFile(tmp_path / "t.parquet", DECISIONS) as file:
        file.add(["r"])
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_cure_is_told_before_anything_is_written(tmp_path: Path) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be imported.
    script = f"""
import sys; sys.modules["pyarrow"] = None
from pathlib import Path
from qcgen.core.errors import PrerequisiteError
from qcgen.report.write import write_report
from tests.report import synthetic
made = synthetic.make_synthetic(2, pictures=[b""])
try:
    write_report(made.run, made.rows, folder=Path({str(tmp_path)!r}) / "r", images_root=Path("."),
                 formats=("csv", "parquet"), every_attempt=made.everything)
except PrerequisiteError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'qcgen[parquet]'" in done.stdout
    assert list(tmp_path.iterdir()) == []
