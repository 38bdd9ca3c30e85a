"""The review desk's store: tasks are leased, answered once and taken back; what was said is never lost."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from qcgen.core.errors import SpecError
from qcgen.core.review import (
    EVERY,
    Answer,
    Choice,
    ConflictError,
    Filter,
    Kind,
    Progress,
    Role,
    State,
    Task,
    TaskDraft,
    User,
)
from qcgen.store import admin, audit
from qcgen.store.review import SqlReviewStore
from qcgen.store.schema import audit_event
from qcgen.store.sql import SqlStore, open_store
from tests.store.build import produced, run_info, shards, whole_shard

RUN = "run-1"


def image_id(index: int, attempt: int = 1) -> str:
    return produced(index, attempt).item.id


def draft(index: int, kind: Kind = Kind.FLAGGED, *, cost: float | None = None, code: str = "blur") -> TaskDraft:
    image = produced(index).image
    assert image is not None
    seed = kind is Kind.SEED
    return TaskDraft(
        image_id=f"seed-{index}" if seed else image_id(index),
        kind=kind,
        stratum="dress",
        inclusion_p=0.5 if kind is Kind.AUDIT else 1.0,
        cost=float(100 - index) if cost is None else cost,
        code=code,
        relpath=image.relpath,
        file_sha256=image.sha256,
        source_id=image_id(index) if seed else None,
    )


def fill(store: SqlStore) -> None:
    store.start_run(run_info(), shards(8, 4))
    for _ in range(2):
        leased = store.lease(RUN, "worker", seconds=60)
        assert leased is not None
        store.record(RUN, *leased, whole_shard(leased[0]))


@pytest.fixture
def desk(store: SqlStore) -> SqlReviewStore:
    fill(store)
    store.review.add_tasks(RUN, [draft(index) for index in range(8)])
    for name, role in (("ada", Role.REVIEWER), ("bob", Role.REVIEWER), ("eve", Role.ADJUDICATOR)):
        store.review.add_user(User(name, role, None))
    return store.review


def take(desk: SqlReviewStore, reviewer: str, n: int = 1, only: Filter = EVERY) -> Sequence[Task]:
    role = Role.ADJUDICATOR if reviewer == "eve" else Role.REVIEWER
    return desk.lease_tasks(reviewer, run_id=RUN, n=n, seconds=600, role=role, only=only)


def answer(task: Task, choice: Choice = Choice.ACCEPT, **changes: object) -> Answer:
    code = "blur" if choice is Choice.REJECT else ""
    return replace(Answer(task.id, task.revision, task.file_sha256, choice, code), **changes)


def open_task(desk: SqlReviewStore, index: int, kind: Kind = Kind.FLAGGED) -> Task:
    wanted = image_id(index)
    return next(one for one in desk.tasks(RUN, only=Filter(kind=kind)) if one.image_id == wanted)


def test_the_costliest_open_tasks_come_first_and_stay_with_their_person(desk: SqlReviewStore) -> None:
    mine = take(desk, "ada", 3)
    assert [one.image_id for one in mine] == [image_id(0), image_id(1), image_id(2)]
    again = take(desk, "ada", 3)
    assert [(one.id, one.revision) for one in again] == [(one.id, one.revision) for one in mine]
    assert all((one.lease_until or 0) > (before.lease_until or 0) for one, before in zip(again, mine, strict=True))
    assert [one.image_id for one in take(desk, "bob", 2)] == [image_id(3), image_id(4)]


def test_a_lease_that_ran_out_or_was_given_back_is_free_again(store: SqlStore) -> None:
    fill(store)
    now = [1000.0]
    desk = SqlReviewStore(store.database, clock=lambda: now[0])
    desk.add_tasks(RUN, [draft(0)])
    (mine,) = take(desk, "ada")
    assert take(desk, "bob") == []
    now[0] += 601
    (theirs,) = take(desk, "bob")
    assert theirs.revision == mine.revision + 1
    with pytest.raises(ConflictError, match="with another reviewer") as caught:
        desk.decide("ada", [answer(mine)])
    assert caught.value.task is not None
    assert caught.value.task.lease_by == "bob"
    desk.release("bob")
    assert len(take(desk, "ada")) == 1


def test_an_answer_closes_its_task_and_stands_in_the_rows(store: SqlStore, desk: SqlReviewStore) -> None:
    first, second, third = take(desk, "ada", 3)
    desk.decide("ada", [answer(first), answer(second, Choice.REJECT), answer(third, Choice.REGENERATE, note="sleeve")])
    assert [row.decision for row in store.rows(RUN)] == ["accept", "reject", "reject", *[None] * 5]
    said = list(desk.decisions(RUN))
    assert [(one.reviewer, one.answer.choice, one.answer.note) for one in said] == [
        ("ada", Choice.ACCEPT, ""),
        ("ada", Choice.REJECT, ""),
        ("ada", Choice.REGENERATE, "sleeve"),
    ]
    assert desk.progress(RUN) == [Progress(Kind.FLAGGED, "blur", 8, 3)]
    row = desk.row(RUN, image_id(1))
    assert row is not None
    assert row.decision == "reject"


def test_a_decision_leaves_one_event_in_the_chain(store: SqlStore, desk: SqlReviewStore) -> None:
    (task,) = take(desk, "ada")
    desk.decide("ada", [answer(task, Choice.REJECT, note="grün")])
    desk.undo("ada", run_id=RUN)
    with store.database.read() as connection:
        query = select(audit_event.c.actor, audit_event.c.action).order_by(audit_event.c.seq.desc()).limit(2)
        assert [tuple(row) for row in connection.execute(query)] == [
            ("ada", "review.withdraw"),
            ("ada", "review.decide"),
        ]
        assert audit.problems(connection) == []


def test_the_same_answer_sent_twice_is_stored_once(desk: SqlReviewStore) -> None:
    (task,) = take(desk, "ada")
    sent = answer(task, Choice.REJECT)
    assert desk.decide("ada", [sent]) == desk.decide("ada", [sent])
    skipped = answer(take(desk, "ada")[0], Choice.SKIP)
    assert desk.decide("ada", [skipped]) == desk.decide("ada", [skipped])
    assert len(list(desk.decisions(RUN))) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"revision": 99}, "has changed"),
        ({"image_sha256": "0" * 64}, "not the one that was on the screen"),
    ],
)
def test_an_answer_to_another_state_of_the_task_is_refused_whole(
    desk: SqlReviewStore, change: dict[str, object], told: str
) -> None:
    first, second = take(desk, "ada", 2)
    with pytest.raises(ConflictError, match=told):
        desk.decide("ada", [answer(first), answer(second, **change)])
    assert list(desk.decisions(RUN)) == []
    assert desk.task(first.id) == first


def test_every_mistake_of_an_answer_is_told_at_once(desk: SqlReviewStore) -> None:
    first, second = take(desk, "ada", 2)
    with pytest.raises(SpecError) as caught:
        desk.decide("ada", [answer(first, Choice.REJECT, code=""), answer(second, code="ugly", note="x" * 2001)])
    assert len(caught.value.problems) == 3


def test_nothing_is_accepted_in_bulk_that_measures_people_or_escapes(desk: SqlReviewStore) -> None:
    desk.add_tasks(RUN, [draft(6, Kind.AUDIT, cost=500), draft(7, Kind.SEED, cost=400)])
    found = take(desk, "ada", 3)
    assert [one.kind for one in found] == [Kind.AUDIT, Kind.SEED, Kind.FLAGGED]
    with pytest.raises(SpecError, match="cannot be accepted in bulk") as caught:
        desk.decide("ada", [answer(one, bulk_id="b1") for one in found])
    assert len(caught.value.problems) == 2
    assert len(desk.decide("ada", [answer(one, Choice.REJECT, bulk_id="b2") for one in found])) == 3


def test_undo_takes_back_the_newest_answer_or_its_whole_bulk(store: SqlStore, desk: SqlReviewStore) -> None:
    first, *others = take(desk, "ada", 4)
    desk.decide("ada", [answer(first)])
    desk.decide("ada", [answer(one, Choice.REJECT, bulk_id="b1") for one in others])
    back = desk.undo("ada", run_id=RUN)
    assert [one.answer.task_id for one in back] == [one.id for one in others]
    assert all(one.withdrawn for one in back)
    assert [row.decision for row in store.rows(RUN)][:4] == ["accept", None, None, None]
    assert {one.id for one in take(desk, "ada", 3)} == {one.id for one in others}
    assert take(desk, "bob", 1)[0].id not in {one.id for one in others}
    assert len(desk.undo("ada", run_id=None)) == 1
    assert desk.undo("ada", run_id=RUN) == []
    assert [one.withdrawn for one in desk.decisions(RUN)] == [True] * 4
    assert desk.progress(RUN) == [Progress(Kind.FLAGGED, "blur", 8, 0)]


def test_what_was_skipped_goes_to_others_first(desk: SqlReviewStore) -> None:
    (first,) = take(desk, "ada")
    desk.decide("ada", [answer(first, Choice.SKIP)])
    assert take(desk, "ada")[0].id != first.id
    desk.release("ada")
    assert take(desk, "bob")[0].id == first.id
    desk.release("bob")
    # Nothing else is left for them.
    assert {one.id for one in take(desk, "ada", 8)} >= {first.id}
    assert desk.progress(RUN) == [Progress(Kind.FLAGGED, "blur", 8, 0)]


def test_nobody_gets_a_picture_twice_under_two_kinds(desk: SqlReviewStore) -> None:
    desk.add_tasks(RUN, [draft(0, Kind.DOUBLE, cost=99.5)])
    both = take(desk, "ada", 2)
    assert [one.image_id for one in both] == [image_id(0), image_id(1)]
    desk.decide("ada", [answer(both[0])])
    assert image_id(0) not in {one.image_id for one in take(desk, "ada", 8)}
    desk.release("ada")
    double = next(one for one in take(desk, "bob", 8) if one.image_id == image_id(0))
    assert double.kind is Kind.DOUBLE
    desk.release("bob")
    # Not even where a program asks for it by its number.
    with pytest.raises(ConflictError, match="you have decided on this picture"):
        desk.decide("ada", [answer(open_task(desk, 0, Kind.DOUBLE), Choice.REJECT)])


def disputed(desk: SqlReviewStore) -> Task:
    desk.add_tasks(RUN, [draft(0, Kind.DOUBLE)])
    desk.decide("ada", [answer(open_task(desk, 0))])
    desk.decide("bob", [answer(open_task(desk, 0, Kind.DOUBLE), Choice.REJECT)])
    return open_task(desk, 0, Kind.DISPUTE)


def test_two_different_answers_make_a_dispute_that_a_third_person_settles(
    store: SqlStore, desk: SqlReviewStore
) -> None:
    task = disputed(desk)
    assert next(iter(store.rows(RUN))).decision is None
    assert task.id not in {one.id for one in take(desk, "ada", 8)}
    desk.release("ada")
    with pytest.raises(SpecError, match="is for an adjudicator"):
        desk.decide("ada", [answer(task)])
    (mine,) = take(desk, "eve", 1)
    assert mine.id == task.id
    desk.decide("eve", [answer(mine, Choice.REJECT)])
    assert next(iter(store.rows(RUN))).decision == "reject"


def test_an_adjudicator_never_settles_a_dispute_of_their_own(desk: SqlReviewStore) -> None:
    desk.add_tasks(RUN, [draft(0, Kind.DOUBLE)])
    desk.decide("eve", [answer(open_task(desk, 0))])
    desk.decide("bob", [answer(open_task(desk, 0, Kind.DOUBLE), Choice.REGENERATE)])
    task = open_task(desk, 0, Kind.DISPUTE)
    assert task.id not in {one.id for one in take(desk, "eve", 8)}
    desk.release("eve")
    with pytest.raises(ConflictError, match="you have decided"):
        desk.decide("eve", [answer(task)])


def test_a_dispute_goes_when_one_of_the_two_takes_their_answer_back(desk: SqlReviewStore) -> None:
    task = disputed(desk)
    desk.undo("bob", run_id=RUN)
    after = desk.task(task.id)
    assert after is not None
    assert after.state is State.CANCELLED
    desk.decide("bob", [answer(open_task(desk, 0, Kind.DOUBLE), Choice.REGENERATE)])
    again = desk.task(task.id)
    assert again is not None
    assert again.state is State.OPEN
    desk.decide("eve", [answer(take(desk, "eve")[0])])
    with pytest.raises(ConflictError, match="adjudicator has settled"):
        desk.undo("ada", run_id=RUN)


def test_tasks_are_added_once_cancelled_and_asked_for_again(desk: SqlReviewStore) -> None:
    assert desk.add_tasks(RUN, [draft(index) for index in range(8)]) == 0
    assert desk.cancel_tasks(RUN, [image_id(0), image_id(1)], kinds=[Kind.AUDIT]) == 0
    assert desk.cancel_tasks(RUN, [image_id(0), image_id(1), "nobody"]) == 2
    assert desk.progress(RUN) == [Progress(Kind.FLAGGED, "blur", 6, 0)]
    assert desk.add_tasks(RUN, [draft(0, code="noise")]) == 1
    assert desk.progress(RUN) == [Progress(Kind.FLAGGED, "blur", 6, 0), Progress(Kind.FLAGGED, "noise", 1, 0)]


def test_a_file_that_was_made_again_is_asked_about_again(store: SqlStore, desk: SqlReviewStore) -> None:
    desk.decide("ada", [answer(open_task(desk, 0))])
    assert desk.add_tasks(RUN, [replace(draft(0), file_sha256="f" * 64)]) == 1
    assert open_task(desk, 0).state is State.OPEN
    assert desk.progress(RUN) == [Progress(Kind.FLAGGED, "blur", 8, 0)]
    assert image_id(0) in {one.image_id for one in take(desk, "ada", 8)}
    # The old answer is about the old file: it is taken back without a word about the new one.
    desk.release("ada")
    desk.undo("ada", run_id=RUN)
    assert open_task(desk, 0).lease_by is None


def test_pages_of_tasks_follow_their_numbers_and_filters(desk: SqlReviewStore) -> None:
    first = desk.tasks(RUN, limit=5)
    rest = desk.tasks(None, after=first[-1].id)
    assert len(first) + len(rest) == 8
    assert desk.tasks(RUN, only=Filter(state=State.DONE)) == []
    assert len(desk.tasks(RUN, only=Filter(Kind.FLAGGED, "blur", "dress", State.OPEN))) == 8
    only = Filter(code="blur", stratum="dress")
    assert len(desk.lease_tasks("ada", run_id=None, n=9, seconds=60, role=Role.REVIEWER, only=only)) == 8
    assert desk.lease_tasks("bob", run_id=None, n=9, seconds=60, role=Role.REVIEWER, only=Filter(Kind.AUDIT)) == []


def test_people_have_one_name_one_role_and_sessions_that_end(store: SqlStore, desk: SqlReviewStore) -> None:
    with pytest.raises(SpecError, match="'ada' is taken"):
        desk.add_user(User("ada", Role.MANAGER, None))
    with pytest.raises(SpecError, match="no person 'zoe'"):
        desk.change_user(User("zoe", Role.MANAGER, None))
    desk.add_session("a" * 64, "ada", seconds=60)
    desk.add_session("b" * 64, "ada", seconds=-1)
    assert desk.session("a" * 64) == User("ada", Role.REVIEWER, None)
    assert desk.session("b" * 64) is None
    (task,) = take(desk, "ada")
    desk.change_user(User("ada", Role.REVIEWER, None, active=False))
    assert desk.session("a" * 64) is None
    assert [one.name for one in desk.users() if one.active] == ["bob", "eve"]
    with pytest.raises(SpecError, match="no longer active"):
        desk.decide("ada", [answer(task)])
    desk.change_user(User("bob", Role.MANAGER, "hash"))
    with pytest.raises(SpecError, match="decides nothing"):
        desk.decide("bob", [answer(open_task(desk, 0))])
    assert desk.lease_tasks("bob", run_id=RUN, n=1, seconds=60, role=Role.MANAGER) == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE review_decision SET choice = 'accept'",
        "DELETE FROM review_decision",
        "INSERT INTO review_decision (id, task_id, run_seq, image_id, reviewer, revision, image_sha256, choice, code, "
        "note, dwell_ms, blind, ui, created_at) SELECT 9, 2, run_seq, image_id, 'x', revision, image_sha256, "
        "choice, code, note, dwell_ms, blind, ui, created_at FROM review_decision",
    ],
)
def test_the_database_refuses_to_change_what_people_said(store: SqlStore, desk: SqlReviewStore, statement: str) -> None:
    desk.decide("ada", [answer(open_task(desk, 0), Choice.REJECT)])
    with pytest.raises(DBAPIError, match="append-only"), store.database.engine.begin() as connection:
        connection.execute(text(statement))


def test_the_database_itself_refuses_an_answer_to_a_closed_task(store: SqlStore, desk: SqlReviewStore) -> None:
    desk.decide("ada", [answer(open_task(desk, 0), Choice.REJECT)])
    copy = (
        "INSERT INTO review_decision (id, task_id, run_seq, image_id, reviewer, revision, image_sha256, choice, code, "
        "note, dwell_ms, blind, ui, created_at) SELECT 2, task_id, run_seq, image_id, 'x', revision, image_sha256, "
        "choice, code, note, dwell_ms, blind, ui, created_at FROM review_decision"
    )
    with pytest.raises(DBAPIError, match="the review task is not open"), store.database.engine.begin() as connection:
        connection.execute(text(copy))


def test_wrong_counts_are_found_by_the_check_of_the_database(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    fill(store)
    store.review.add_tasks(RUN, [draft(0), draft(1)])
    store.review.decide("ada", [answer(open_task(store.review, 0))])
    assert admin.check(sqlite_url) == ()
    with store.database.engine.begin() as connection:
        connection.execute(text("UPDATE review_progress SET total = 3"))
        connection.execute(text("UPDATE review_task SET state = 'done' WHERE state = 'open'"))
    store.close()
    told = " ".join(one.message for one in admin.check(sqlite_url))
    assert "review counts differ" in told
    assert "1 review task is done without a standing answer" in told
