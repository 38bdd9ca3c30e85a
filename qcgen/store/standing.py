"""Which answers stand, as conditions and rows."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Row, Select, exists, func, select

from qcgen.core.lastword import Word
from qcgen.core.review import Answer, Choice, Decision, Kind
from qcgen.store.reviewschema import review_decision, review_task
from qcgen.store.schema import run

_later = review_decision.alias("later")
NOT_WITHDRAWN: ColumnElement[bool] = ~exists().where(_later.c.withdraws == review_decision.c.id)
IS_ANSWER: ColumnElement[bool] = func.coalesce(review_decision.c.withdraws, 0) == 0
"""No withdrawal. Not IS NULL: SQLite would look that up in the unique index, where all answers are."""
STANDS: ColumnElement[bool] = IS_ANSWER & NOT_WITHDRAWN
"""An answer that its author has not taken back."""
SAYS: ColumnElement[bool] = STANDS & (review_decision.c.choice != str(Choice.SKIP))
"""A standing answer that says something of the picture."""


def words_of(connection: Connection, run_seq: int, image_ids: Sequence[str]) -> dict[str, list[Word]]:
    """Standing answers by picture, in the order in which they were made."""
    table = review_decision.c
    query = (
        select(
            table.id, table.image_id, table.reviewer, review_task.c.kind, table.choice, table.image_sha256, table.code
        )
        .join(review_task, review_task.c.id == table.task_id)
        .where(table.run_seq == run_seq, table.image_id.in_(image_ids), SAYS)
    )
    found: dict[str, list[Word]] = {}
    # Sorted here: asked to, SQLite walks all of the run's decisions in that order rather than look these up.
    for row in sorted(connection.execute(query), key=lambda one: int(one.id)):
        word = Word(row.reviewer, Kind(row.kind), Choice(row.choice), row.image_sha256, row.code)
        found.setdefault(row.image_id, []).append(word)
    return found


def has_decisions(connection: Connection, run_seq: int) -> bool:
    query = select(review_decision.c.id).where(review_decision.c.run_seq == run_seq).limit(1)
    return connection.execute(query).first() is not None


def decision_query() -> Select[tuple[object, ...]]:
    """Answers (no withdrawals) with their task and run; `stands` says whether they were not taken back."""
    return (
        select(
            review_decision,
            NOT_WITHDRAWN.label("stands"),
            review_task.c.kind,
            review_task.c.stratum,
            review_task.c.inclusion_p,
            run.c.id.label("run_id"),
        )
        .join(review_task, review_task.c.id == review_decision.c.task_id)
        .join(run, run.c.seq == review_decision.c.run_seq)
        .where(IS_ANSWER)
    )


def to_decision(row: Row[tuple[object, ...]]) -> Decision:
    answer = Answer(
        task_id=row.task_id,
        revision=row.revision,
        image_sha256=row.image_sha256,
        choice=Choice(row.choice),
        code=row.code,
        note=row.note,
        dwell_ms=row.dwell_ms,
        blind=row.blind == 1,
        bulk_id=row.bulk_id,
        ui=row.ui,
    )
    return Decision(
        id=row.id,
        run_id=row.run_id,
        image_id=row.image_id,
        kind=Kind(row.kind),
        stratum=row.stratum,
        inclusion_p=row.inclusion_p,
        reviewer=row.reviewer,
        answer=answer,
        created_at=row.created_at,
        withdrawn=not row.stands,
    )
