"""The review desk on the command line: people, a spreadsheet's way round, statistics, delivery."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qcgen.cli.main import main
from qcgen.core.errors import SpecError
from qcgen.core.passwords import check_password, hash_password
from qcgen.core.review import Answer, Choice, Kind, Role, State, User
from qcgen.pipeline.reviewplan import plan_review
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import PROFILE, make_job, run_toy

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    store = open_store(f"sqlite:///{folder / 'toy.db'}")
    run = run_toy(make_job(folder / "out", copies=2), store)
    store.finish_run(run.run_id, status="complete", seconds=1.0, seconds_by_stage={}, gates=(), report=None)
    store.close()
    return folder


@pytest.fixture
def url(night: Path, tmp_path: Path) -> str:
    shutil.copy(night / "toy.db", tmp_path / "toy.db")
    return f"sqlite:///{tmp_path / 'toy.db'}"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def qcgen(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    def call(*words: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = main([*words, "--db", url])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fill(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_people_are_added_listed_disabled_and_let_in_again(qcgen: Say, store: SqlStore) -> None:
    assert qcgen("users", "add", "ada", "--role", "adjudicator", typed="correct horse\n")[0] == 0
    (ada,) = store.review.users()
    assert (ada.name, ada.role, ada.active) == ("ada", Role.ADJUDICATOR, True)
    assert check_password("correct horse", ada.password)
    assert not check_password("correct hors", ada.password)
    assert "correct" not in str(ada.password)
    assert qcgen("users", "disable", "ada")[0] == 0
    assert json.loads(qcgen("users", "list", "--json")[1])["users"] == [
        {"name": "ada", "role": "adjudicator", "active": False}
    ]
    assert qcgen("users", "password", "ada", typed="battery staple\n")[0] == 0
    assert check_password("battery staple", store.review.users()[0].password)
    assert store.review.users()[0].active


@pytest.mark.parametrize(
    ("words", "typed", "told"),
    [
        (("add", "bob"), "short\n", "password: must have 10"),
        (("add", "bob"), "", "password: must have 10"),
        (("add", "../bob"), "long enough\n", "NAME: must be 1 to 64 letters"),
        (("disable", "nobody"), "", "there is no person 'nobody'"),
        (("password", "nobody"), "long enough\n", "there is no person 'nobody'"),
    ],
)
def test_mistakes_with_people_are_told(qcgen: Say, words: tuple[str, ...], typed: str, told: str) -> None:
    code, _, err = qcgen("users", *words, typed=typed)
    assert (code, told in err) == (2, True), err


def test_no_hash_lets_anybody_in_who_has_no_password() -> None:
    assert not check_password("", None)
    assert not check_password("x" * 2000, hash_password("x" * 1024))
    assert not check_password("anything", "scrypt$broken")
    assert hash_password("the same one") != hash_password("the same one")
    with pytest.raises(SpecError):
        hash_password("x" * 1025)


def test_the_queue_goes_to_a_spreadsheet_and_comes_back_as_offline_decisions(
    qcgen: Say, store: SqlStore, tmp_path: Path
) -> None:
    store.review.add_user(User("ada", Role.REVIEWER, None))
    path = tmp_path / "queue.csv"
    assert qcgen("reviews", "export", "toy-night", "--to", str(path))[0] == 0
    assert qcgen("reviews", "export", "toy-night", "--to", str(path))[0] == 2
    rows = read(path)
    asked = {one.image_id for one in store.review.tasks(None, limit=5000) if one.kind is not Kind.SEED}
    assert {row["image_id"] for row in rows} == asked
    assert not any("seed" in row["relpath"] for row in rows)
    rows[0] |= {"decision": "reject", "code": "blur"}
    rows[1] |= {"decision": "accept"}
    fill(path, rows)
    code, out, err = qcgen("reviews", "import", "toy-night", str(path), "--as", "ada", "--json")
    assert code == 0, err
    assert json.loads(out) == {"decisions": 2, "reviewer": "ada"}
    said = list(store.review.decisions(None))
    assert [(one.reviewer, one.answer.choice, one.answer.blind, one.answer.ui) for one in said] == [
        ("ada", Choice.REJECT, False, "spreadsheet, offline"),
        ("ada", Choice.ACCEPT, False, "spreadsheet, offline"),
    ]
    # The same file again changes nothing.
    assert qcgen("reviews", "import", "toy-night", str(path), "--as", "ada")[0] == 0
    assert len(list(store.review.decisions(None))) == 2


def test_a_sheet_with_mistakes_is_refused_whole_and_all_are_told(qcgen: Say, store: SqlStore, tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    qcgen("reviews", "export", "toy-night", "--to", str(path))
    rows = read(path)
    rows[0]["decision"] = "accept"
    wrong = [{**rows[1], "decision": "maybe"}, {**rows[1], "image_id": "f" * 32, "task_id": "", "decision": "accept"}]
    code, _, err = qcgen("reviews", "import", "toy-night", str(fill(path, [rows[0], *wrong])), "--as", "ada")
    assert code == 2
    assert "queue.csv:3 decision" in err
    assert "queue.csv:4 image_id" in err
    old = {**rows[0], "revision": "77"}
    code, _, err = qcgen(
        "reviews", "import", "toy-night", str(fill(path, [rows[1] | {"decision": "accept"}, old])), "--as", "ada"
    )
    assert (code, "has changed" in err) == (1, True)
    store.review.add_user(User("bob", Role.REVIEWER, None))
    code, _, err = qcgen("reviews", "import", "toy-night", str(path), "--as", "ada")
    assert (code, "no person 'ada'" in err) == (2, True)
    assert list(store.review.decisions(None)) == []


def test_statistics_say_what_is_known_and_how_well(qcgen: Say, store: SqlStore) -> None:
    empty = json.loads(qcgen("reviews", "stats", "toy-night", "--json")[1])
    assert (empty["missed"]["rate"], empty["missed"]["upper"]) == (None, 1.0)
    for name in ("ada", "bob"):
        store.review.add_user(User(name, Role.REVIEWER, None))
    run = store.runs()[0]
    plan_review(run, store)
    for name in ("ada", "bob"):
        while tasks := store.review.lease_tasks(name, run_id=None, n=20, seconds=60, role=Role.REVIEWER):
            answers = []
            for one in tasks:
                bad = one.kind is Kind.SEED
                choice = Choice.REJECT if bad else Choice.ACCEPT
                code = one.code if bad else ""
                answers.append(Answer(one.id, one.revision, one.file_sha256, choice, code, dwell_ms=1500))
            store.review.decide(name, answers)
    told = json.loads(qcgen("reviews", "stats", "toy-night", "--json")[1])
    audits = [one for one in store.review.tasks(None, limit=5000) if one.kind is Kind.AUDIT]
    assert all(one.state is State.DONE for one in audits)
    assert (told["missed"]["count"], told["missed"]["n"]) == (0, len(audits))
    assert told["missed"]["upper"] == pytest.approx(1 - 0.05 ** (1 / told["missed"]["n_effective"]))
    assert (told["seeds"]["count"], told["right_code"]) == (1, 1)
    assert [one["reviewer"] for one in told["people"]] == sorted({one["reviewer"] for one in told["people"]})
    assert {one["dwell_ms"] for one in told["people"]} == {1500}
    assert told["open_disputes"] == 0
    _, out, _ = qcgen("reviews", "stats", "toy-night")
    assert f"missed among passed: 0.0% of n {len(audits)}, with 95 % confidence 0.0% to" in out


def test_a_run_is_delivered_or_says_why_not(qcgen: Say, store: SqlStore, tmp_path: Path) -> None:
    code, out, err = qcgen("export", "toy-night", "--to", str(tmp_path / "out.zip"), "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["files"] > 0
    assert Path(told["path"]).is_file()
    run = store.runs()[0]
    store.finish_run(run.run_id, status="paused", seconds=1.0, seconds_by_stage={}, gates=(), report=None)
    code, _, err = qcgen("export", "toy-night", "--to", str(tmp_path / "other"))
    assert (code, "is paused" in err) == (1, True)


def test_a_misspelt_field_to_learn_by_is_refused_with_the_one_meant(qcgen: Say, tmp_path: Path) -> None:
    proposal = tmp_path / "proposal.json"
    words = ("learn", "propose", "toy-night", "--profile", PROFILE, "--by", "colur", "--out", str(proposal))
    code, _, err = qcgen(*words)
    assert (code, err.splitlines()[-1]) == (2, "--by: no picture has the field 'colur'. Did you mean 'colour'?")
    assert not proposal.exists()
