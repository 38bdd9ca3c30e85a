"""The CSV files: columns, order, safety, exact numbers."""

import csv
import io
import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Outcome
from qcgen.report.attempts import AttemptFiles
from qcgen.report.csvout import make_safe, write_csv
from tests.report import synthetic

CONTRACT = (
    "run_id,image_id,sku,prompt,seed,attempt,model,model_digest,"
    "width,height,relpath,file_sha256,verdict,reasons,decision"
)
GOLDEN = Path(__file__).parent / "golden"


def write_attempts(folder: Path, items: int = 40, **changes: object) -> list[dict[str, str]]:
    made = synthetic.make_synthetic(items, pictures=[b""], **changes)
    AttemptFiles(made.run, folder).write(made.everything)
    with (folder / "images.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_columns_are_the_contracts_and_then_the_detectors_by_name(tmp_path: Path) -> None:
    rows = write_attempts(tmp_path)
    expected = CONTRACT.split(",") + sorted(f"m_{name}" for name in synthetic.DETECTORS)
    assert list(rows[0]) == expected


def test_every_attempt_is_a_row_in_item_order(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(300, pictures=[b""])
    rows = write_attempts(tmp_path, 300)
    assert [row["image_id"] for row in rows] == [row.image_id for row in made.everything]
    assert len(rows) > 300
    assert {row["verdict"] for row in rows} == {"accept", "review", "reject", "failed"}


def test_numbers_survive_exactly_and_absent_ones_are_empty(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(300, pictures=[b""])
    for row, written in zip(made.everything, write_attempts(tmp_path, 300), strict=True):
        for name in synthetic.DETECTORS:
            cell = written[f"m_{name}"]
            assert (float(cell) if cell else None) == row.measures.get(name)
        assert written["width"] == ("128" if row.relpath else "")
        assert int(written["seed"]) == row.seed


def test_same_run_gives_the_same_bytes_whatever_the_clock_says(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(50, pictures=[b""])
    other_run = replace(made.run, seconds=1.0, started_at="2030-01-01T00:00:00Z", status="running", report="elsewhere")
    other_rows = [replace(row, gen_s=9.0, thumbnail=None, bytes=1) for row in made.everything]
    for name, run, rows in (("one", made.run, made.everything), ("two", other_run, other_rows)):
        (tmp_path / name).mkdir()
        AttemptFiles(run, tmp_path / name).write(rows)
    for file in ("images.csv", "flags.csv", "decisions.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.mark.parametrize("file", ["images.csv", "flags.csv", "decisions.csv"])
def test_small_run_matches_the_golden_file(tmp_path: Path, file: str) -> None:
    made = synthetic.make_synthetic(12, seed=425, pictures=[b""], run_id="golden")
    decided = [replace(row, decision="accept" if row.outcome is Outcome.REVIEW else None) for row in made.everything]
    AttemptFiles(made.run, tmp_path).write(decided)
    assert (tmp_path / file).read_text(encoding="utf-8") == (GOLDEN / file).read_text(encoding="utf-8")


def test_rows_out_of_order_are_an_error_and_leave_no_file(tmp_path: Path) -> None:
    made = synthetic.make_synthetic(5, pictures=[b""])
    with pytest.raises(IntegrityError, match="item order"):
        AttemptFiles(made.run, tmp_path).write(reversed(made.everything))
    assert list(tmp_path.iterdir()) == []


HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("=+-@\t\r\n\0|%'\",; ＝＋－＠\u00a0\u200b\ufeffab1"),  # noqa: RUF001 (full-width signs are the point)
        st.characters(codec="utf-8"),
    ),
    max_size=12,
)


# No deadline: each example is quick, but a busy machine may pause any of them.
@settings(max_examples=1000, deadline=None)
@given(HOSTILE)
@example("'\0")
def test_no_cell_of_text_starts_a_formula(text: str) -> None:
    safe = make_safe(text)
    visible = unicodedata.normalize("NFKC", re.sub("^[ \u00a0\u200b\ufeff\u3000]+", "", safe))
    assert visible[:1] not in set("=+-@\t\r\n")
    assert "\0" not in safe
    clean = text.replace("\0", "\ufffd")
    assert safe in {clean, "'" + clean}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(HOSTILE, st.floats(allow_nan=False, allow_infinity=False)), max_size=5))
def test_cells_come_back_as_they_went_in_and_numbers_stay_numbers(rows: list[tuple[str, float]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        write_csv(path, ["text", "number"], rows)
        read = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))
    assert read[0] == ["text", "number"]
    assert [(cells[0], float(cells[1])) for cells in read[1:]] == [(make_safe(text), number) for text, number in rows]
    assert not any(cells[1].startswith("'") for cells in read[1:])


def test_failing_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write_csv(path, ["a"], [["old"]])

    def rows() -> object:
        yield ["new"]
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        write_csv(path, ["a"], rows())  # type: ignore[arg-type]
    assert path.read_text() == "a\nold\n"
    assert list(tmp_path.iterdir()) == [path]
