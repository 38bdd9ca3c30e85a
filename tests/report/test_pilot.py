"""The page and the table of a pilot, from a made-up result."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from qcgen.core.errors import PrerequisiteError, SpecError
from qcgen.core.pilotresult import RESULT_FILE, PilotResult, read_result, to_json
from qcgen.report.pilot import verdict, write_pilot_report
from tests.report.madepilot import make_result
from tests.report.pagecheck import PageChecker


def write(folder: Path, result: PilotResult) -> str:
    (folder / RESULT_FILE).write_text(to_json(result))
    return write_pilot_report(folder).read_text()


def nothing_left() -> PilotResult:
    """Every trial was lost."""
    made = make_result()
    lost = tuple(replace(made.trials[-1], name=one.name) for one in made.trials)
    return replace(made, trials=lost, recommended=None, chance=None, effects=(), cuts=())


@pytest.mark.parametrize("made", [make_result(), nothing_left()], ids=["usual", "all lost"])
def test_pages_are_whole_and_stay_off_the_network(made: PilotResult, tmp_path: Path) -> None:
    page = write(tmp_path, made)
    checker = PageChecker()
    checker.feed(page)
    assert checker.open == []
    assert checker.ids == set(checker.listed), "an id that occurs twice breaks its label"
    assert "http" not in page.replace("http-equiv", "")
    assert not re.search(r"\bnan\b|>None<", page)


def test_the_page_tells_what_is_recommended_how_sure_and_what_would_separate(tmp_path: Path) -> None:
    page = write(tmp_path, make_result())
    assert "divergence jensen_shannon, lr ratio 1.5" in page
    assert "More likely than not: best for balance with probability 0.72 among 3 trials" in page
    assert "about 1,200 pictures (n is 600), if the difference is real" in page
    assert "told apart: breaks the guard of saturation" in page
    assert "t1 of 9 trials of 40 settings, drawn at random." in page
    assert "lost, for 3 steps running were not finite" in page


def test_the_verdict_says_when_there_was_nothing_to_compare() -> None:
    made = make_result()
    assert "nothing is recommended" in verdict(nothing_left())
    alone = replace(made, trials=(made.trials[0], made.trials[-1]), chance=1.0)
    assert "the only trial that came to the last rung" in verdict(alone)
    assert verdict(replace(made, chance=0.97)).startswith("Sure: ")
    assert verdict(replace(made, chance=0.3)).startswith("Not decided: ")


def test_hostile_text_is_escaped_on_the_page_and_harmless_in_the_table(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    made = make_result(divergence=f"=cmd{evil}", lost=f'"{evil}')
    page = write(tmp_path, replace(made, name=f"x{evil}", base=f"a{evil}.yaml"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    rows = list(csv.DictReader((tmp_path / "pilot.csv").read_text().splitlines()))
    assert rows[0]["divergence"].startswith("'=cmd")
    assert len(rows) == sum(max(len(one.visits), 1) for one in made.trials)


def test_the_table_has_a_row_for_each_trial_and_rung(tmp_path: Path) -> None:
    write(tmp_path, make_result())
    rows = list(csv.DictReader((tmp_path / "pilot.csv").read_text().splitlines()))
    assert [(row["trial"], row["steps"]) for row in rows[:3]] == [("t1", "44"), ("t1", "132"), ("t2", "44")]
    assert float(rows[1]["kid"]) == pytest.approx(make_result().trials[0].visits[1].measures["kid"].value, rel=1e-6)
    assert rows[-1]["trial"] == "t9"
    assert rows[-1]["score"] == ""


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, make_result())
    again = read_result(tmp_path)
    assert to_json(again) == to_json(make_result())
    (tmp_path / RESULT_FILE).write_text("{}")
    with pytest.raises(SpecError, match="not the result of a pilot"):
        read_result(tmp_path)
    (tmp_path / RESULT_FILE).unlink()
    with pytest.raises(PrerequisiteError, match="qcgen pilot"):
        write_pilot_report(tmp_path)
