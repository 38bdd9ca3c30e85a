"""Answers into rows: checked against the task as it stands, appended whole or not at all, taken back by another row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Row, func, insert, select

from qcgen.core.errors import SpecError
from qcgen.core.reasoncodes import reason_problems
from qcgen.core.review import Answer, Choice, ConflictError, Decision, Kind, Role, State, Task, TaskDraft
from qcgen.store import people, tasks
from qcgen.store.audit import append
from qcgen.store.codec import sha256
from qcgen.store.dialect import Dialect
from qcgen.store.reviewschema import review_decision, review_regeneration
from qcgen.store.runs import number_of
from qcgen.store.standing import SAYS, STANDS, Word, decision_query, disagree, to_decision, words_of

_d = review_decision.c
_FOR_BULK = (Kind.FLAGGED, Kind.DOUBLE, Kind.DISPUTE)
_FIELDS = (
    "task_id",
    "run_seq",
    "image_id",
    "reviewer",
    "revision",
    "image_sha256",
    "choice",
    "code",
    "note",
    "dwell_ms",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """One transaction of one person, under the `review` lock; `now` in seconds, `at` the same as text."""

    connection: Connection
    dialect: Dialect
    reviewer: str
    now: float
    at: str

    def decide(self, answers: Sequence[Answer]) -> list[Decision]:
        known = tasks.by_id(self.connection, (one.task_id for one in answers))
        self._refuse_mistakes(answers, known)
        stored = {one.task_id: self._sent_before(one) for one in answers}
        fresh = [one for one in answers if stored[one.task_id] is None]
        for answer in fresh:
            self._refuse_conflict(answer, known[answer.task_id])
        added = {one.answer.task_id: one for one in self._append_all(fresh, known)}
        found = [added.get(one.task_id) or stored[one.task_id] for one in answers]
        return [one for one in found if one is not None]

    def _refuse_mistakes(self, answers: Sequence[Answer], known: dict[int, Task]) -> None:
        problems: list[str] = []
        role = people.role_of(self.connection, self.reviewer)
        if len({one.task_id for one in answers}) < len(answers):
            problems.append("answers: must name each task once. Cure: send one answer a task.")
        for one in answers:
            where = f"task {one.task_id} "
            problems += [where + told for told in reason_problems(choice=one.choice, code=one.code, note=one.note)]
            if one.dwell_ms < 0:
                problems.append(
                    f"{where}dwell_ms: must be 0 or more (got {one.dwell_ms}). Cure: milliseconds on screen."
                )
            task = known.get(one.task_id)
            if task is None:
                problems.append(f"{where}is not in this database. Cure: load the queue again.")
                continue
            if one.bulk_id is not None and one.choice is Choice.ACCEPT and task.kind not in _FOR_BULK:
                problems.append(f"{where}cannot be accepted in bulk. Cure: look at it and decide on it alone.")
            if task.kind is Kind.DISPUTE and role is not Role.ADJUDICATOR:
                problems.append(f"{where}is for an adjudicator (got {self.reviewer!r}). Cure: leave it to one.")
        if problems:
            raise SpecError(problems)

    def _sent_before(self, answer: Answer) -> Decision | None:
        """The same answer by the same person, if it stands; a second skip counts once for each revision."""
        query = decision_query().where(
            STANDS,
            _d.task_id == answer.task_id,
            _d.reviewer == self.reviewer,
            _d.image_sha256 == answer.image_sha256,
            _d.choice == str(answer.choice),
            _d.code == answer.code,
            _d.note == answer.note,
        )
        if answer.choice is Choice.SKIP:
            query = query.where(_d.revision == answer.revision)
        row = self.connection.execute(query.limit(1)).first()
        return to_decision(row) if row else None

    def _refuse_conflict(self, answer: Answer, task: Task) -> None:
        where = f"task {task.id}"
        again = "Nothing was stored. Cure: load the task again."
        if task.state is State.DONE:
            raise ConflictError(f"{where}: is decided already. {again}", task)
        if task.state is State.CANCELLED:
            raise ConflictError(f"{where}: was cancelled, as its picture no longer stands for review. {again}", task)
        if task.lease_by not in (None, self.reviewer) and (task.lease_until or 0.0) > self.now:
            raise ConflictError(f"{where}: is with another reviewer. {again}", task)
        if task.revision != answer.revision:
            raise ConflictError(
                f"{where}: has changed (revision {task.revision}, the answer is to {answer.revision}). {again}", task
            )
        if task.file_sha256 != answer.image_sha256:
            raise ConflictError(f"{where}: its file is not the one that was on the screen. {again}", task)
        if answer.choice is not Choice.SKIP and self._has_decided(task):
            raise ConflictError(f"{where}: you have decided on this picture already; it is for another person.", task)

    def _has_decided(self, task: Task) -> bool:
        run_seq = number_of(self.connection, task.run_id)
        words = words_of(self.connection, run_seq, [task.image_id]).get(task.image_id, [])
        return any(one.reviewer == self.reviewer and one.sha256 == task.file_sha256 for one in words)

    def _append_all(self, answers: Sequence[Answer], known: dict[int, Task]) -> list[Decision]:
        if not answers:
            return []
        runs = {one.run_id: number_of(self.connection, one.run_id) for one in known.values()}
        rows = [self._row(one, known[one.task_id], runs[known[one.task_id].run_id]) for one in answers]
        numbers = self._insert(rows)
        closed = [_answered(known[one.task_id], one.choice) for one in answers]
        tasks.set_states(self.connection, closed)
        for run_id, run_seq in runs.items():
            done = Counter(
                (str(one.kind), one.code) for one in closed if one.run_id == run_id and one.state is State.DONE
            )
            tasks.count(self.connection, run_seq, done=done)
        for task in closed:
            if task.state is State.DONE and task.kind is not Kind.DISPUTE:
                self._settle_disputes(task, runs[task.run_id])
        for number, row, task in zip(numbers, rows, closed, strict=True):
            self._audit("review.decide", task, {"decision": str(number), **_told(row, task)})
        return self._decisions(numbers)

    def _row(self, answer: Answer, task: Task, run_seq: int) -> dict[str, object]:
        return {
            "task_id": task.id,
            "run_seq": run_seq,
            "image_id": task.image_id,
            "reviewer": self.reviewer,
            "revision": answer.revision,
            "image_sha256": answer.image_sha256,
            "choice": str(answer.choice),
            "code": answer.code,
            "note": answer.note,
            "dwell_ms": answer.dwell_ms,
            "blind": int(answer.blind),
            "bulk_id": answer.bulk_id,
            "ui": answer.ui,
            "withdraws": None,
        }

    def _insert(self, rows: Sequence[dict[str, object]]) -> list[int]:
        """Numbered by hand: the database takes the next free number alone, and the lock keeps others off."""
        last = self.connection.execute(select(func.coalesce(func.max(_d.id), 0))).scalar_one()
        numbers = [last + 1 + place for place in range(len(rows))]
        for number, row in zip(numbers, rows, strict=True):
            self.connection.execute(insert(review_decision), {**row, "id": number, "created_at": self.at})
        return numbers

    def _settle_disputes(self, task: Task, run_seq: int) -> None:
        """Make, open again or cancel the picture's dispute, as its answers now stand."""
        said = words_of(self.connection, run_seq, [task.image_id]).get(task.image_id, [])
        split = disagree(said, task.file_sha256)
        known = tasks.of_picture(self.connection, run_seq, task.image_id)
        dispute = next((one for one in known if one.kind is Kind.DISPUTE), None)
        if split and (dispute is None or dispute.state is not State.DONE or dispute.file_sha256 != task.file_sha256):
            tasks.add(self.connection, run_seq, [_dispute(task, known, said)])
        elif not split and dispute is not None and dispute.state is State.OPEN:
            tasks.cancel(self.connection, run_seq, [task.image_id], [Kind.DISPUTE])

    def undo(self, run_id: str | None, *, until: float) -> list[Decision]:
        query = decision_query().where(STANDS, _d.reviewer == self.reviewer)
        if run_id is not None:
            query = query.where(_d.run_seq == number_of(self.connection, run_id))
        newest = self.connection.execute(query.order_by(_d.id.desc()).limit(1)).first()
        if newest is None:
            return []
        rows: Sequence[Row[tuple[object, ...]]] = [newest]
        if newest.bulk_id is not None:
            rows = self.connection.execute(query.where(_d.bulk_id == newest.bulk_id).order_by(_d.id)).all()
        known = tasks.by_id(self.connection, (row.task_id for row in rows))
        for row in rows:
            self._refuse_undo(row, known[row.task_id])
        self._withdraw(rows, known, until)
        return self._decisions([row.id for row in rows])

    def _refuse_undo(self, row: Row[tuple[object, ...]], task: Task) -> None:
        where = f"task {task.id}"
        held = task.lease_by not in (None, self.reviewer) and (task.lease_until or 0.0) > self.now
        if row.choice == Choice.SKIP:
            if task.state is not State.OPEN or held:
                raise ConflictError(f"{where}: somebody else has it by now, so that the skip stands.", task)
            return
        # Whoever asked first: the picture is replaced, and its answers stand.
        asked = select(_d.id).where(_d.run_seq == row.run_seq, _d.image_id == row.image_id)
        made = select(review_regeneration.c.attempt).where(review_regeneration.c.decision_id.in_(asked))
        if self.connection.execute(made).first() is not None:
            raise ConflictError(f"{where}: another picture was made because of this answer, so that it stands.", task)
        settled = select(_d.id).where(_d.id > row.id, _d.run_seq == row.run_seq, _d.image_id == row.image_id, SAYS)
        disputes = [
            one.id for one in tasks.of_picture(self.connection, row.run_seq, row.image_id) if one.kind is Kind.DISPUTE
        ]
        if self.connection.execute(settled.where(_d.task_id.in_(disputes), _d.task_id != task.id)).first() is not None:
            raise ConflictError(f"{where}: an adjudicator has settled it since, so that the answer stands.", task)

    def _withdraw(self, rows: Sequence[Row[tuple[object, ...]]], known: dict[int, Task], until: float) -> None:
        back = [
            {name: getattr(row, name) for name in (*_FIELDS, "blind", "bulk_id", "ui")} | {"withdraws": row.id}
            for row in rows
        ]
        numbers = self._insert(back)
        # A task that is about another file by now has nothing to do with the answer.
        own = [row for row in rows if known[row.task_id].file_sha256 == row.image_sha256]
        opened = [
            replace(task, state=State.OPEN, revision=task.revision + 1, lease_by=self.reviewer, lease_until=until)
            for task in (known[row.task_id] for row in own)
        ]
        tasks.set_states(self.connection, opened)
        for row in own:
            task = known[row.task_id]
            if task.state is State.DONE:
                tasks.count(self.connection, row.run_seq, done={(str(task.kind), task.code): -1})
            if task.kind is not Kind.DISPUTE:
                self._settle_disputes(task, row.run_seq)
        for number, row, told in zip(numbers, rows, back, strict=True):
            task = known[row.task_id]
            self._audit(
                "review.withdraw", task, {"decision": str(number), "withdraws": str(row.id), **_told(told, task)}
            )

    def _audit(self, action: str, task: Task, body: dict[str, str]) -> None:
        append(
            self.connection,
            self.dialect,
            ts=self.at,
            actor=self.reviewer,
            action=action,
            subject=task.run_id,
            body=body,
        )

    def _decisions(self, numbers: Sequence[int]) -> list[Decision]:
        rows = self.connection.execute(decision_query().where(_d.id.in_(numbers)).order_by(_d.id))
        return [to_decision(row) for row in rows]


def _answered(task: Task, choice: Choice) -> Task:
    state = State.OPEN if choice is Choice.SKIP else State.DONE
    return replace(task, state=state, revision=task.revision + 1, lease_by=None, lease_until=None)


def _dispute(task: Task, known: Sequence[Task], said: Sequence[Word]) -> TaskDraft:
    """Before all that anybody disputes: its picture waits for it, and two people have spent their time already."""
    refused = [one.code for one in said if one.choice is not Choice.ACCEPT and one.code]
    return TaskDraft(
        image_id=task.image_id,
        kind=Kind.DISPUTE,
        stratum=task.stratum,
        inclusion_p=1.0,
        cost=1.0 + max(one.cost for one in known),
        code=refused[0] if refused else task.code,
        relpath=task.relpath,
        file_sha256=task.file_sha256,
    )


def _told(row: dict[str, object], task: Task) -> dict[str, str]:
    """What the hash chain holds of an answer; a note by its digest, as notes may name people."""
    named = ("image_id", "image_sha256", "choice", "code", "blind", "dwell_ms")
    return {
        "task": str(task.id),
        "kind": str(task.kind),
        "note_sha256": sha256(str(row["note"])) if row["note"] else "",
        "bulk_id": str(row["bulk_id"] or ""),
        **{name: str(row[name]) for name in named},
    }
