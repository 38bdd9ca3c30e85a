"""The only implementation of `core.review.ReviewStore`: a method is one transaction on the same database."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from qcgen.core.review import EVERY, Answer, Decision, Filter, Kind, Progress, Regeneration, Role, Task, TaskDraft, User
from qcgen.core.types import Produced, Row
from qcgen.store import audit, people, read, regenerate, tasks
from qcgen.store.codec import utc
from qcgen.store.decide import Desk
from qcgen.store.engine import Database
from qcgen.store.reviewschema import review_decision
from qcgen.store.runs import number_of
from qcgen.store.standing import decision_query, to_decision

UNDO_LEASE_S = 600.0
_PAGE = 2_000


class SqlReviewStore:
    """Runs on SQLite and PostgreSQL alike; see `core.review.ReviewStore` for what each method promises.

    Args:
        clock: seconds since the epoch; leases and sessions run out by it.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def add_tasks(self, run_id: str, drafts: Sequence[TaskDraft]) -> int:
        with self._database.write() as connection:
            self._lock(connection)
            added = tasks.add(connection, number_of(connection, run_id), drafts)
            if added:
                self._append(connection, "review.plan", run_id, {"tasks": str(added)})
            return added

    def cancel_tasks(self, run_id: str, image_ids: Sequence[str], *, kinds: Sequence[Kind] | None = None) -> int:
        with self._database.write() as connection:
            self._lock(connection)
            closed = tasks.cancel(connection, number_of(connection, run_id), image_ids, kinds)
            if closed:
                self._append(connection, "review.cancel", run_id, {"tasks": str(closed)})
            return closed

    def lease_tasks(
        self, reviewer: str, *, run_id: str | None, n: int, seconds: float, role: Role, only: Filter = EVERY
    ) -> Sequence[Task]:
        if role is Role.MANAGER:
            return ()
        now = self._clock()
        with self._database.write() as connection:
            self._lock(connection)
            runs = self._runs(connection, run_id, only)
            return tasks.lease(connection, reviewer, runs=runs, n=n, now=now, until=now + seconds, role=role, only=only)

    def release(self, reviewer: str) -> None:
        with self._database.write() as connection:
            self._lock(connection)
            tasks.release(connection, reviewer)

    def task(self, task_id: int) -> Task | None:
        with self._database.read() as connection:
            return tasks.by_id(connection, [task_id]).get(task_id)

    def tasks(self, run_id: str | None, *, only: Filter = EVERY, after: int = 0, limit: int = 200) -> Sequence[Task]:
        with self._database.read() as connection:
            runs = None if run_id is None else [number_of(connection, run_id)]
            return tasks.page(connection, runs, only=only, after=after, limit=limit)

    def decide(self, reviewer: str, answers: Sequence[Answer]) -> Sequence[Decision]:
        with self._database.write() as connection:
            return self._desk(connection, reviewer).decide(answers)

    def undo(self, reviewer: str, *, run_id: str | None) -> Sequence[Decision]:
        with self._database.write() as connection:
            desk = self._desk(connection, reviewer)
            return desk.undo(run_id, until=desk.now + UNDO_LEASE_S)

    def decisions(self, run_id: str | None) -> Iterator[Decision]:
        """Streams pages of 2,000; each is a snapshot of its own."""
        after = 0
        while True:
            with self._database.read() as connection:
                query = decision_query().where(review_decision.c.id > after)
                if run_id is not None:
                    query = query.where(review_decision.c.run_seq == number_of(connection, run_id))
                rows = connection.execute(query.order_by(review_decision.c.id).limit(_PAGE)).all()
            yield from map(to_decision, rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1].id

    def regenerations(self, run_id: str) -> Sequence[Regeneration]:
        with self._database.read() as connection:
            return regenerate.pending(connection, number_of(connection, run_id))

    def record_regenerated(self, run_id: str, made: Sequence[tuple[Regeneration, Produced]]) -> None:
        with self._database.write() as connection:
            self._lock(connection)
            run_seq, dialect = number_of(connection, run_id), self._database.dialect
            told = regenerate.record(connection, dialect, run_seq=run_seq, made=made, now=utc(self._clock()))
            self._append(connection, "review.regenerate", run_id, told)

    def replacements(self, run_id: str) -> Mapping[str, str]:
        with self._database.read() as connection:
            return regenerate.replacements(connection, number_of(connection, run_id))

    def decisions_on(self, run_id: str, image_id: str) -> Sequence[Decision]:
        with self._database.read() as connection:
            place = (review_decision.c.run_seq == number_of(connection, run_id)) & (
                review_decision.c.image_id == image_id
            )
            rows = connection.execute(decision_query().where(place).order_by(review_decision.c.id)).all()
        return [to_decision(row) for row in rows]

    def progress(self, run_id: str | None) -> Sequence[Progress]:
        with self._database.read() as connection:
            return tasks.progress(connection, None if run_id is None else number_of(connection, run_id))

    def add_user(self, user: User) -> None:
        with self._database.write() as connection:
            self._lock(connection)
            people.add(connection, user)
            self._append(connection, "user.add", user.name, {"role": str(user.role)})

    def change_user(self, user: User) -> None:
        with self._database.write() as connection:
            self._lock(connection)
            before = people.one(connection, user.name)
            people.change(connection, user)
            changed = str(before is not None and before.password != user.password).lower()
            body = {"role": str(user.role), "active": str(user.active).lower(), "password_changed": changed}
            self._append(connection, "user.change", user.name, body)

    def users(self) -> Sequence[User]:
        with self._database.read() as connection:
            return people.every(connection)

    def add_session(self, token_sha256: str, user: str, *, seconds: float) -> None:
        now = self._clock()
        with self._database.write() as connection:
            self._lock(connection)
            people.add_session(connection, token_sha256, user, until=now + seconds, now=now)

    def session(self, token_sha256: str) -> User | None:
        with self._database.read() as connection:
            return people.session(connection, token_sha256, now=self._clock())

    def end_session(self, token_sha256: str) -> None:
        with self._database.write() as connection:
            self._lock(connection)
            people.end_session(connection, token_sha256)

    def row(self, run_id: str, image_id: str) -> Row | None:
        with self._database.read() as connection:
            return read.one(connection, number_of(connection, run_id), image_id)

    def _lock(self, connection: Connection) -> None:
        self._database.dialect.lock(connection, "review")

    def _desk(self, connection: Connection, reviewer: str) -> Desk:
        self._lock(connection)
        now = self._clock()
        return Desk(connection, self._database.dialect, reviewer, now, utc(now))

    def _runs(self, connection: Connection, run_id: str | None, only: Filter) -> list[int] | None:
        """Which runs to look through; None, all of them at once, where no filter would make that slow."""
        if run_id is not None:
            return [number_of(connection, run_id)]
        return None if only.kind is None and only.code is None else tasks.waiting_runs(connection, only)

    def _append(self, connection: Connection, action: str, subject: str, body: dict[str, str]) -> None:
        dialect, ts = self._database.dialect, utc(self._clock())
        audit.append(connection, dialect, ts=ts, actor=audit.PROGRAM, action=action, subject=subject, body=body)
