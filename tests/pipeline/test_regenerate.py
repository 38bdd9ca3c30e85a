"""A reviewer asks for another picture: the next start of the run makes it once, and it stands in place of the old."""

import signal
from pathlib import Path

import pytest

from qcgen.core.review import Answer, Choice, ConflictError, Decision, Kind, TaskDraft
from qcgen.core.types import Outcome, Row, RunInfo
from qcgen.store import admin
from qcgen.store.sql import SqlStore, open_store
from tests.pipeline.toyjob import make_job, run_toy
from tests.pipeline.toyprocess import ToyProcess


def say(
    store: SqlStore, run_id: str, row: Row, choice: Choice, *, who: str = "ada", kind: Kind = Kind.FLAGGED
) -> Decision:
    assert row.relpath is not None
    assert row.file_sha256 is not None
    draft = TaskDraft(row.image_id, kind, "dress", 1.0, 1.0, "blur", row.relpath, row.file_sha256)
    store.review.add_tasks(run_id, [draft])
    task = next(one for one in store.review.tasks(run_id) if (one.image_id, one.kind) == (row.image_id, kind))
    code = "blur" if choice is Choice.REJECT else ""
    return store.review.decide(who, [Answer(task.id, task.revision, task.file_sha256, choice, code)])[0]


def standing(store: SqlStore, run: RunInfo, index: int) -> Row:
    return next(row for row in store.rows(run.run_id) if row.item_index == index)


def test_what_a_person_wants_again_is_made_once_with_the_next_seed(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toy.db'}")
    job = make_job(tmp_path / "out", copies=1, max_attempts=2)
    run = run_toy(job, store)
    rows = list(store.rows(run.run_id))
    # One that passed at once and one that used up all of its attempts.
    chosen = [min(rows, key=lambda row: row.attempt), max(rows, key=lambda row: row.attempt)]
    assert [row.attempt for row in chosen] == [1, 2]
    for row in chosen:
        say(store, run.run_id, row, Choice.REGENERATE)
    before = {row.item_index: row.image_id for row in rows}
    again = run_toy(job, store)
    assert again.status == "complete"
    fresh = [standing(store, run, row.item_index) for row in chosen]
    assert [row.attempt for row in fresh] == [_last(store, run, row) for row in chosen]
    assert all((tmp_path / "out" / str(row.relpath)).is_file() for row in fresh)
    assert all(row.decision is None for row in fresh)
    assert store.review.replacements(run.run_id) == {
        old.image_id: new.image_id for old, new in zip(chosen, fresh, strict=True)
    }
    changed = {row.item_index for row in store.rows(run.run_id) if row.image_id != before[row.item_index]}
    assert changed == {row.item_index for row in chosen}
    attempts = len(list(store.rows(run.run_id, every_attempt=True)))
    run_toy(job, store)
    assert len(list(store.rows(run.run_id, every_attempt=True))) == attempts
    with pytest.raises(ConflictError, match="another picture was made"):
        store.review.undo("ada", run_id=run.run_id)
    # Asked for again, the new one is replaced too, and a new policy changes nothing in that.
    say(store, run.run_id, fresh[1], Choice.REGENERATE)
    run_toy(job, store)
    assert standing(store, run, chosen[1].item_index).attempt == 4
    store.close()
    assert admin.check(f"sqlite:///{tmp_path / 'toy.db'}") == ()


def _last(store: SqlStore, run: RunInfo, row: Row) -> int:
    return max(one.attempt for one in store.rows(run.run_id, every_attempt=True) if one.item_index == row.item_index)


def test_no_picture_is_made_while_two_people_disagree_and_one_for_two_who_agree(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toy.db'}")
    job = make_job(tmp_path / "out", copies=1)
    run = run_toy(job, store)
    split, agreed = list(store.rows(run.run_id))[:2]
    say(store, run.run_id, split, Choice.REGENERATE)
    say(store, run.run_id, split, Choice.ACCEPT, who="bob", kind=Kind.DOUBLE)
    say(store, run.run_id, agreed, Choice.REGENERATE)
    say(store, run.run_id, agreed, Choice.REGENERATE, who="bob", kind=Kind.DOUBLE)
    assert [one.image_id for one in store.review.regenerations(run.run_id)] == [agreed.image_id]
    run_toy(job, store)
    assert list(store.review.replacements(run.run_id)) == [agreed.image_id]
    assert standing(store, run, split.item_index).image_id == split.image_id
    store.close()


def test_a_lost_picture_that_was_asked_for_is_made_again(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'toy.db'}")
    job = make_job(tmp_path / "out", copies=1)
    run = run_toy(job, store)
    refused = next(iter(store.rows(run.run_id)))
    say(store, run.run_id, refused, Choice.REGENERATE)
    run_toy(job, store)
    made = standing(store, run, refused.item_index)
    (tmp_path / "out" / str(made.relpath)).unlink()
    run_toy(job, store)
    again = standing(store, run, refused.item_index)
    assert (again.image_id, again.file_sha256, again.attempt) == (made.image_id, made.file_sha256, made.attempt)
    assert (tmp_path / "out" / str(again.relpath)).is_file()
    store.close()


def test_a_run_killed_while_it_makes_them_makes_each_exactly_once(tmp_path: Path) -> None:
    out, database = tmp_path / "out", f"sqlite:///{tmp_path / 'toy.db'}"
    job = make_job(out, copies=1)
    store = open_store(database)
    run = run_toy(job, store)
    refused = [row for row in store.rows(run.run_id) if row.outcome is not Outcome.FAILED]
    for row in refused:
        say(store, run.run_id, row, Choice.REGENERATE)
    attempts = len(list(store.rows(run.run_id, every_attempt=True)))
    for lines in (2, 3):
        process = ToyProcess(tmp_path / "log", str(out), database, "--copies", "1", "--pause-s", "0.05")
        process.wait_for_lines(lines)
        process.signal(signal.SIGKILL)
        process.join()
    run_toy(job, store)
    rows = list(store.rows(run.run_id, every_attempt=True))
    assert len(rows) == attempts + len(refused)
    assert len(store.review.replacements(run.run_id)) == len(refused)
    recorded = {row.relpath for row in rows if row.relpath is not None}
    on_disk = {path.relative_to(out).as_posix() for path in (out / "images").rglob("*") if path.is_file()}
    assert on_disk == recorded
    store.close()
    assert admin.check(database) == ()
