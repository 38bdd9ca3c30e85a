"""Progress for machines: JSON lines on stderr that end at the end."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from qcgen.cli.console import plain, progress_shown, table


def test_progress_without_a_terminal_is_json_lines_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_shown("nightly") as show:
        for done in range(1, 5):
            show(done, 4, generated=done)
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert (lines[0]["done"], lines[-1]["done"], lines[-1]["total"]) == (1, 4, 4)
    assert lines[-1]["left_s"] == 0
    assert lines[-1]["generated"] == 4
    # Four calls within two seconds: the first, and the one that ends it.
    assert len(lines) == 2


def test_values_become_json_that_says_the_same() -> None:
    @dataclass(frozen=True, slots=True)
    class Point:
        where: Path
        numbers: tuple[float, ...]

    assert json.loads(json.dumps(plain({1: Point(Path("a/b"), (0.5,))}))) == {"1": {"where": "a/b", "numbers": [0.5]}}


def test_a_table_aligns_its_columns_and_stands_empty() -> None:
    assert table(("a", "long"), [("wide", "1")]).splitlines() == ["a     long", "wide  1"]
    assert table(("a", "long"), []) == "a  long"
