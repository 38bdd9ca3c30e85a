"""A misspelt name is answered with the one that was meant, whatever names things: options, runs, people, models."""

from pathlib import Path

import pytest

from qcgen.cli.main import main
from qcgen.core.review import Role, User
from qcgen.store.sql import open_store
from tests.report.synthetic import make_run

DATABASE = "sqlite:///runs.db"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database that knows one run and one person."""
    monkeypatch.chdir(tmp_path)
    store = open_store(DATABASE)
    store.start_run(make_run(1), ())
    store.review.add_user(User("ada-lovelace", Role.REVIEWER, None))
    store.close()
    (tmp_path / "said.csv").write_text("image_id,decision\n")
    return tmp_path


def _told(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    main(words)
    return capsys.readouterr().err.splitlines()


RUN = "no run 'nightly-aparel' in the database. Did you mean 'nightly-apparel'?"
PERSON = "there is no person 'ada-lovelac'. Did you mean 'ada-lovelace'?"
DETECTOR = "no such detector. Did you mean 'blur'?"
PROFILE = "no such profile (got 'fotos'). Did you mean 'photos'?"
EMBEDDED = "'embedded:aparel' is not an embedded model. Did you mean 'embedded:apparel'?"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs", "show", "nightly-aparel"], f"RUN: {RUN}"),
        (["review", "nightly-aparel"], f"RUN: {RUN}"),
        (["report", "nightly-aparel"], f"RUN: {RUN}"),
        (["report", "compare", "nightly-apparel", "nightly-aparel"], f"NEW: {RUN}"),
        (["report", "trend", "--rebaseline", "nightly-aparel", "--reason", "new student"], f"--rebaseline: {RUN}"),
        (["report", "trend", "--job", "nightly-aparel"], RUN.replace("no run", "--job: no run of")),
        (["users", "disable", "ada-lovelac"], f"NAME: {PERSON}"),
        (["reviews", "import", "nightly-apparel", "said.csv", "--as", "ada-lovelac"], f"--as: {PERSON}"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_misspelt_run_job_or_person_is_answered_with_the_one_meant(
    words: list[str], told: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _told([*words, "--db", DATABASE], capsys) == [told]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["bench", "qc", "--only", "blurr"], f"--only blurr: {DETECTOR}"),
        (["score", ".", "--profile", "fotos"], f"--profile: {PROFILE}"),
        (["judge", "x", "--policy", "fotos"], f"--policy: {PROFILE}"),
        (["calibrate", "x", "--profile", "fotos"], f"--profile: {PROFILE}"),
        (["learn", "propose", "x", "--profile", "fotos"], f"--profile: {PROFILE}"),
        (["models", "show", "embedded:aparel"], f"model: {EMBEDDED}"),
        (["models", "show", "apparel"], "model: the folder 'apparel' does not exist. Did you mean 'embedded:apparel'?"),
        (["report", "x", "--format", "csv,htm"], "--format: no such format (got 'htm'). Did you mean 'html'?"),
        (
            ["users", "add", "ada", "--role", "adjudicatr"],
            "Error: Invalid value for '--role': 'adjudicatr' is not one of 'reviewer', 'adjudicator', 'manager'. "
            "Did you mean 'adjudicator'?",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_misspelt_name_of_a_closed_list_is_answered_with_the_one_meant(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _told(words, capsys)[-1] == told


def test_a_name_that_is_near_to_none_is_answered_with_all_there_are(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _told(["runs", "show", "\x1b[31mx", "--db", DATABASE], capsys) == [
        r"RUN: no run '\x1b[31mx' in the database. Cure: one of nightly-apparel, or see `qcgen runs list`."
    ]
    (told,) = _told(["models", "show", "embedded:qqq"], capsys)
    assert "Cure: one of embedded:apparel, embedded:artifact-head-apparel, " in told
    assert _told(["models", "show", "out/apparel"], capsys) == [
        "model: the folder 'out/apparel' does not exist. Cure: give a folder on the local disk."
    ]


@pytest.mark.parametrize("empty", ["", " ", "\t\u00a0"], ids=["empty", "blank", "tab and hard blank"])
def test_an_empty_or_blank_value_is_refused_alike_however_it_is_written(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cure = "empty. Cure: give a value (. is the current folder), or leave it out."
    assert _told(["learn", "accept", "p.json", "--by-whom", empty], capsys) == [f"argument 5, at --by-whom: {cure}"]
    assert _told(["learn", "accept", "p.json", f"--by-whom={empty}"], capsys) == [f"argument 4, at --by-whom: {cure}"]
    assert _told(["score", empty, "--out", empty], capsys) == [
        f"argument 2: {cure}",
        f"argument 4, at --out: {cure}",
        "2 mistakes; nothing was written.",
    ]
    assert _told(["score", "--out=.", empty], capsys) == [f"argument 3: {cure}"]
    assert _told(["users", "add", "--", empty], capsys) == [f"argument 4: {cure}"]
    assert ": empty." not in " ".join(_told(["runs", "show", "--json", "--json", "none"], capsys))
