"""Which answers stand, and what people together say of a picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Row, Select, exists, select

from qcgen.core.review import Answer, Choice, Decision, Kind
from qcgen.store.reviewschema import review_decision, review_task
from qcgen.store.schema import run

_later = review_decision.alias("later")
NOT_WITHDRAWN: ColumnElement[bool] = ~exists().where(_later.c.withdraws == review_decision.c.id)
STANDS: ColumnElement[bool] = review_decision.c.withdraws.is_(None) & NOT_WITHDRAWN
"""An answer that its author has not taken back."""
SAYS: ColumnElement[bool] = STANDS & (review_decision.c.choice != str(Choice.SKIP))
"""A standing answer that says something of the picture."""


@dataclass(frozen=True, slots=True)
class Word:
    """One standing answer, as far as it counts for the picture."""

    reviewer: str
    kind: Kind
    choice: Choice
    sha256: str
    code: str = ""


def verdict_of(words: Iterable[Word], sha256: str | None) -> str | None:
    """`accept` or `reject`, None if nobody or not everybody agrees; what was said of another file counts for nothing.

    The answer to a dispute stands over those that made it.
    """
    about = [one for one in words if one.sha256 == sha256]
    settled = [one for one in about if one.kind is Kind.DISPUTE]
    said = {one.choice is Choice.ACCEPT for one in settled or about}
    if len(said) != 1:
        return None
    return "accept" if said.pop() else "reject"


def disagree(words: Iterable[Word], sha256: str) -> bool:
    """Whether two people's answers to the same file differ in what they mean for its delivery."""
    about = [one for one in words if one.sha256 == sha256 and one.kind is not Kind.DISPUTE]
    return len({one.choice is Choice.ACCEPT for one in about}) == 2


def words_of(connection: Connection, run_seq: int, image_ids: Sequence[str]) -> dict[str, list[Word]]:
    """Standing answers by picture, in the order in which they were made."""
    table = review_decision.c
    query = (
        select(table.image_id, table.reviewer, review_task.c.kind, table.choice, table.image_sha256, table.code)
        .join(review_task, review_task.c.id == table.task_id)
        .where(table.run_seq == run_seq, table.image_id.in_(image_ids), SAYS)
        .order_by(table.id)
    )
    found: dict[str, list[Word]] = {}
    for row in connection.execute(query):
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
        .where(review_decision.c.withdraws.is_(None))
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
