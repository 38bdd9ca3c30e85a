"""The page of a distillation, from made-up events."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from qcgen.core.errors import PrerequisiteError
from qcgen.core.events import EVENTS_FILE, EventLog, read_events
from qcgen.report.training import sections_of, time_shares, write_training_report
from tests.report.madetraining import write_events
from tests.report.pagecheck import PageChecker


def test_an_empty_log_and_a_full_one_give_whole_pages(tmp_path: Path) -> None:
    for folder, steps in (("empty", 0), ("full", 400)):
        (tmp_path / folder).mkdir()
        write_events(tmp_path / folder / EVENTS_FILE, steps=steps)
        page = write_training_report(tmp_path / folder, "apparel").read_text()
        checker = PageChecker()
        checker.feed(page)
        assert checker.open == []
        assert checker.ids == set(checker.listed), "an id that occurs twice breaks its label"
        assert "http" not in page.replace("http-equiv", "")
        assert not re.search(r"\bnan\b", page.lower())


def test_the_page_tells_the_outcome_and_what_was_decided(tmp_path: Path) -> None:
    write_events(tmp_path / EVENTS_FILE, steps=400)
    page = write_training_report(tmp_path, "apparel").read_text()
    assert "Ended by no improvement over 5 evaluations." in page
    assert "Went back: the mean of channel 3 left the reference; half the rate, twice the fake updates." in page
    assert "exported student of step" in page


def test_text_from_the_log_is_escaped(tmp_path: Path) -> None:
    EventLog(tmp_path / EVENTS_FILE).write(
        "end", {"stage": "<b>", "step": 1, "mark": 1, "reason": "<script>x</script>", "exported_step": 1}, time_s=0.0
    )
    page = write_training_report(tmp_path, "<i>name</i>").read_text()
    assert "<script>" not in page
    assert "<i>name" not in page


def test_time_adds_up_to_the_wall(tmp_path: Path) -> None:
    write_events(tmp_path / EVENTS_FILE, steps=100)
    events = read_events(tmp_path / EVENTS_FILE)
    wall = sum(event["seconds"]["wall"] for event in events)  # type: ignore[index]
    assert sum(time_shares(events).values()) == pytest.approx(wall)
    (lead,) = [section.lead for section in sections_of(events) if section.name == "time"]
    assert lead == "94.0 % of the wall time is in the networks and their optimisers."


def test_time_of_steps_that_were_made_again_counts(tmp_path: Path) -> None:
    log = EventLog(tmp_path / EVENTS_FILE)
    for kind, mark, wall in (("start", 0, 1.0), ("step", 0, 10.0), ("step", 1, 10.0), ("rollback", 1, 2.0),
                             ("step", 1, 10.0), ("resume", 1, 3.0), ("step", 1, 10.0)):  # fmt: skip
        seconds = {"student": wall / 2, "wall": wall}
        log.write(kind, {"stage": "matching", "mark": mark, "step": mark, "seconds": seconds}, time_s=0.0)
    events = read_events(log.path)
    assert time_shares(events) == pytest.approx({"student": 23.0, "other": 23.0})
    page = write_training_report(tmp_path, "apparel").read_text()
    assert re.search(r"wall time\W+\S*46", page.replace("</dt><dd>", " "))
    assert re.search(r"of that, steps made again\W+\S*20", page.replace("</dt><dd>", " "))


def test_steps_that_a_resume_made_again_are_told_once(tmp_path: Path) -> None:
    log = EventLog(tmp_path / EVENTS_FILE)
    for kind, mark in (("start", 0), ("step", 0), ("step", 1), ("step", 2), ("resume", 1), ("step", 1), ("step", 2)):
        log.write(kind, {"mark": mark, "step": mark}, time_s=0.0)
    assert [(event["event"], event["mark"]) for event in read_events(log.path)] == [
        ("start", 0),
        ("step", 0),
        ("resume", 1),
        ("step", 1),
        ("step", 2),
    ]


def test_a_folder_without_a_log_is_told_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="Cure: name the `out` folder"):
        write_training_report(tmp_path, "x")


def test_every_page_has_the_hatching_of_one_template() -> None:
    templates = files("qcgen.report") / "templates"
    holding = [one.name for one in templates.iterdir() if 'id="hatch-bad"' in one.read_text()]
    assert holding == ["blocks.html.j2"]
    for name in ("index.html.j2", "page.html.j2"):
        assert "blocks.hatching()" in (templates / name).read_text()
