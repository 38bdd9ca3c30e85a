"""How SQLite looks the desk's rows up: by an index that fits, however many tasks and decisions there are."""

from collections.abc import Callable

import pytest
from sqlalchemy import event

from qcgen.core.review import Filter, Kind, Role, State
from qcgen.store.review import SqlReviewStore
from qcgen.store.sql import SqlStore
from tests.store.test_review import RUN, answer, draft, fill, open_task, take

Call = Callable[[SqlReviewStore], object]


def lookups(store: SqlStore, call: Call) -> list[str]:
    """The plan of every statement on tasks and decisions that the call makes."""
    statements: list[tuple[str, object]] = []

    def keep(_c: object, _k: object, statement: str, parameters: object, _x: object, many: bool) -> None:
        if "review_" in statement and not statement.startswith("INSERT") and not many:
            statements.append((statement, parameters))

    event.listen(store.database.engine, "before_cursor_execute", keep)
    call(store.review)
    event.remove(store.database.engine, "before_cursor_execute", keep)
    assert statements
    with store.database.read() as connection:
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for statement, parameters in statements
        ]
    return [str(row[3]) for plan in plans for row in plan]


@pytest.mark.parametrize(
    "call",
    [
        lambda desk: take(desk, "bob", 2),
        lambda desk: desk.lease_tasks("bob", run_id=None, n=2, seconds=60, role=Role.REVIEWER),
        lambda desk: take(desk, "bob", 2, Filter(code="blur")),
        lambda desk: take(desk, "bob", 2, Filter(kind=Kind.AUDIT)),
        lambda desk: desk.tasks(RUN, after=3),
        lambda desk: desk.tasks(RUN, only=Filter(code="blur", state=State.OPEN), after=3),
        lambda desk: desk.decide("bob", [answer(open_task(desk, 4))]),
        lambda desk: desk.release("ada"),
        lambda desk: desk.cancel_tasks(RUN, ["a", "b"]),
        lambda desk: desk.add_tasks(RUN, [draft(0), draft(1)]),
        lambda desk: desk.progress(RUN),
    ],
)
def test_nothing_is_walked_from_end_to_end(memory: SqlStore, call: Call) -> None:
    fill(memory)
    memory.review.add_tasks(RUN, [draft(index) for index in range(8)])
    memory.review.decide("ada", [answer(one) for one in take(memory.review, "ada", 2)])
    found = lookups(memory, call)
    # The queue of all runs is walked in its order, and left after the first few.
    walked = [one for one in found if one.startswith("SCAN review_") and "ix_review_task_queue_all" not in one]
    assert walked == []
    # All answers lie under `withdraws` null; only the alias of the withdrawals may be looked up there.
    assert not [one for one in found if one.startswith("SEARCH review_decision") and "withdraws" in one]
    # By run alone is by all of its rows, unless the order is what is asked for.
    by_run = [one for one in found if one.endswith("(run_seq=?)") and "queue_run" not in one and "progress" not in one]
    assert by_run == []


def test_what_a_person_holds_is_found_by_their_name(memory: SqlStore) -> None:
    fill(memory)
    memory.review.add_tasks(RUN, [draft(index) for index in range(8)])
    found = lookups(memory, lambda desk: take(desk, "bob", 2))
    # Once for the tasks and once for their pictures; by the run's queue all of it would be walked for nothing.
    assert sum("ix_review_task_held (lease_by=?)" in one for one in found) == 2
    assert sum("ix_review_task_queue_run" in one for one in found) == 1
