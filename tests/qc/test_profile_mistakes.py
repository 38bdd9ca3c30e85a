"""What a user reads of a profile or calibration with mistakes: every one, with file, line, key, value and cure."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from qcgen.cli.main import main
from qcgen.core.errors import SpecError
from qcgen.qc.policy import load_policy
from qcgen.qc.profile import Calibration, find_profile, read_calibration, read_profile

Told = Callable[[str], list[str]]

TWICE = """{"version": 1, "name": "mine", "alpha": 0.02, "near_duplicate_bits": 0, "calibration": null,
"detectors": {
  "blank": {"importance": 0, "ceiling": -0.6},
  "blank": {"importance": 0}}}"""
MANY = """{"version": 1, "name": "mine", "alpha": 0.02,
"near_duplicate_bits": 0,
"calibration": null,
"templates": ["a photo"],
"detectors": {
  "blurr": {},
  "qqq": {},
  "blank": {"importance": "much", "flor": -0.6}}}"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """The mistakes of a profile of this text."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> list[str]:
        Path("mine.json").write_text(text)
        with pytest.raises(SpecError) as error:
            load_policy("mine.json")
        return list(error.value.problems)

    return read


def test_a_key_that_is_given_twice_is_refused_with_both_lines(told: Told) -> None:
    assert told(TWICE) == ["mine.json:4 detectors.blank: is given twice (first on line 3). Keep one of them."]
    assert told(TWICE.replace('"version": 1', '"version": 1, "version": 1'))[0] == (
        "mine.json:1 version: is given twice (first on line 1). Keep one of them."
    )


def test_all_mistakes_of_a_profile_are_listed_once_as_those_of_a_job_are(told: Told) -> None:
    template, importance, floor, blurr, unknown = told(MANY)
    assert template == (
        "mine.json:4 templates[0]: must hold {} once and no other brace (got 'a photo'). "
        "Write it like 'a photo of a {}'."
    )
    assert importance.startswith("mine.json:8 detectors.blank.importance: must be a number (got 'much').")
    assert floor == "mine.json:8 detectors.blank.flor: is not a known key (got -0.6). Did you mean 'floor'?"
    assert blurr == "mine.json:6 detectors.blurr: no such detector. Did you mean 'blur'?"
    assert unknown.startswith("mine.json:7 detectors.qqq: no such detector. Cure: one of anomaly, ")


def test_of_very_many_mistakes_the_first_twenty_of_a_kind_are_worded(told: Told) -> None:
    # Each has a suggestion to look for, which would take long for all of them.
    unknown = ", ".join(f'"blurr{number}": {{}}' for number in range(10_000))
    lines = told(TWICE.replace('"blank": {"importance": 0}', unknown).replace("{", "{" + '"name": "mine", ' * 70, 1))
    assert len(lines) == 42
    assert lines[19:21] == [
        "mine.json:1 name: is given twice (first on line 1). Keep one of them.",
        "... and 50 more: keys given twice.",
    ]
    assert lines[40].endswith("detectors.blurr19: no such detector. Did you mean 'blur'?")
    assert lines[41] == "... and 9,980 more: unknown detectors."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"version": 1,\n', r"mine\.json:2: is not valid JSON"),
        ("", r"mine\.json:1: is not valid JSON"),
        ("[1]", r"mine\.json:1: must be keys with values"),
        ("[" * 100_000, r"mine\.json: is not valid JSON"),
        ('{"name": ' + "[" * 700 + "]" * 700 + "}", r"mine\.json: is nested more than 50 deep\. Make it flatter"),
        ('{"alpha": NaN}', r"mine\.json:1 alpha: must be a finite number \(got NaN\)"),
        ('{"background": [255]}', r"mine\.json:1 background\[2\]: is required and missing"),
        ('{"name": "\\ud800"}', r"mine\.json: holds half of a character"),
        ('{"detectors": {"\\u001b[31m": {}}}', r"mine\.json:1 detectors\.'\\x1b\[31m': no such detector"),
        ('{"detectors": ["blur"]}', r"mine\.json:1 detectors: must be a group of keys"),
    ],
)
def test_whatever_a_profile_holds_is_told_as_a_mistake_with_its_file(text: str, message: str, told: Told) -> None:
    with pytest.raises(SpecError, match=message):
        raise SpecError(told(text))


def test_a_file_that_is_no_text_is_a_mistake_too(told: Told, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match=r"odd\.json: must be text in UTF-8 \(got byte 0xff\)"):
        read_profile(tmp_path / "odd.json")


def test_the_command_ends_with_2_and_counts_every_mistake(
    told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told(MANY)
    assert main(["score", str(tmp_path), "--profile", "mine.json", "--json"]) == 2
    out, err = capsys.readouterr()
    assert len(json.loads(out)["problems"]) == 5
    assert "5 mistakes" in err


def test_a_calibration_is_read_as_strictly(tmp_path: Path) -> None:
    good = find_profile("apparel").parent.parent / "calibrations" / "apparel.json"
    assert isinstance(read_calibration(good), Calibration)
    path = tmp_path / "c.json"
    path.write_text(good.read_text().replace('"alpha":', '"alpha": 0.5,\n "alpha":', 1))
    with pytest.raises(SpecError, match=r"c\.json:\d+ alpha: is given twice \(first on line \d+\)"):
        read_calibration(path)
    path.write_text(good.read_text().replace('"joint":', '"joined": [],\n "joint":', 1))
    with pytest.raises(
        SpecError, match=r"c\.json:\d+ joined: is not a known key \(got \[\]\)\. Did you mean 'joint'\?"
    ):
        read_calibration(path)
