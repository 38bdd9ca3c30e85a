"""Attempts that people asked for: which are still to be made, and their rows beside those of the run."""

import hashlib
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, exists, func, insert, select, update

from qcgen.core.errors import IntegrityError
from qcgen.core.review import Choice, Kind, Regeneration
from qcgen.core.types import Produced
from qcgen.store.dialect import Dialect
from qcgen.store.reviewschema import review_decision, review_regeneration
from qcgen.store.schema import attempt, item, shard
from qcgen.store.standing import SAYS, Word, verdict_of, words_of
from qcgen.store.write import insert_extra, restand

_PAGE = 500
_d, _r = review_decision.c, review_regeneration.c


def pending(connection: Connection, run_seq: int) -> list[Regeneration]:
    """In item order; one for a picture, however many people asked, and none while they disagree."""
    said = review_decision.alias("said")
    made = exists().where(_r.decision_id == said.c.id, said.c.run_seq == _d.run_seq, said.c.image_id == _d.image_id)
    wanted = (
        select(_d.image_id).distinct().where(_d.run_seq == run_seq, _d.choice == str(Choice.REGENERATE), SAYS, ~made)
    )
    image_ids = list(connection.execute(wanted.order_by(_d.image_id)).scalars())
    found: list[Regeneration] = []
    for start in range(0, len(image_ids), _PAGE):
        found += _pending_of(connection, run_seq, image_ids[start : start + _PAGE])
    return sorted(found, key=lambda one: one.item_index)


def _pending_of(connection: Connection, run_seq: int, image_ids: Sequence[str]) -> list[Regeneration]:
    other = attempt.alias("other")
    last = (
        select(func.max(other.c.attempt))
        .where(other.c.run_seq == attempt.c.run_seq, other.c.item_index == attempt.c.item_index)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(attempt.c.image_id, attempt.c.item_index, attempt.c.file_sha256, last.label("last")).where(
            attempt.c.run_seq == run_seq, attempt.c.image_id.in_(image_ids), attempt.c.current == 1
        )
    ).all()
    words = words_of(connection, run_seq, [row.image_id for row in rows])
    numbers = _first_decisions(connection, run_seq, [row.image_id for row in rows])
    return [
        Regeneration(numbers[row.image_id], row.image_id, row.item_index, row.last + 1)
        for row in rows
        if _asks(words.get(row.image_id, ()), row.file_sha256)
    ]


def _asks(words: Sequence[Word], sha256: str | None) -> bool:
    """Whether those who have the last word refuse the picture and one of them wants another."""
    about = [one for one in words if one.sha256 == sha256]
    last = [one for one in about if one.kind is Kind.DISPUTE] or about
    return verdict_of(words, sha256) == "reject" and any(one.choice is Choice.REGENERATE for one in last)


def _first_decisions(connection: Connection, run_seq: int, image_ids: Sequence[str]) -> dict[str, int]:
    query = select(_d.image_id, func.min(_d.id)).where(
        _d.run_seq == run_seq, _d.image_id.in_(image_ids), _d.choice == str(Choice.REGENERATE), SAYS
    )
    return {row[0]: row[1] for row in connection.execute(query.group_by(_d.image_id))}


def record(
    connection: Connection,
    dialect: Dialect,
    *,
    run_seq: int,
    made: Sequence[tuple[Regeneration, Produced]],
    now: str,
) -> dict[str, str]:
    """Insert the attempts and let them stand in place of those that were refused.

    Returns:
        What the audit event tells.

    Raises:
        IntegrityError: one of the decisions has its attempt already, or was taken back.
    """
    still = {one.decision_id for one in pending(connection, run_seq)}
    stale = sorted(one.decision_id for one, _ in made if one.decision_id not in still)
    if stale:
        raise IntegrityError(f"decisions {stale[:5]} ask for no attempt any more. Cure: start the same command again.")
    insert_extra(connection, dialect, run_seq=run_seq, produced=[each for _, each in made], now=now)
    connection.execute(
        insert(review_regeneration),
        [
            {
                "decision_id": one.decision_id,
                "run_seq": run_seq,
                "item_index": each.item.index,
                "attempt": each.item.attempt,
            }
            for one, each in made
        ],
    )
    indices = sorted({each.item.index for _, each in made})
    restand(connection, run_seq, indices)
    digests = _renew_digests(connection, run_seq, indices)
    return {"attempts": str(len(made)), "files_sha256": " ".join(f"{number}:{one}" for number, one in digests.items())}


def replacements(connection: Connection, run_seq: int) -> Mapping[str, str]:
    """Which picture was made in place of which, by the id of the refused one."""
    query = (
        select(_d.image_id, attempt.c.image_id)
        .join(review_regeneration, _r.decision_id == _d.id)
        .join(
            attempt,
            (attempt.c.run_seq == _r.run_seq)
            & (attempt.c.item_index == _r.item_index)
            & (attempt.c.attempt == _r.attempt),
        )
        .where(_r.run_seq == run_seq)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _renew_digests(connection: Connection, run_seq: int, indices: Sequence[int]) -> dict[int, str]:
    """A shard's digest is over all of its attempts, those that came late included."""
    numbers = connection.execute(
        select(item.c.shard).distinct().where(item.c.run_seq == run_seq, item.c.item_index.in_(indices))
    ).scalars()
    found = {}
    for number in sorted(numbers):
        rows = connection.execute(
            select(attempt.c.item_index, attempt.c.attempt, attempt.c.file_sha256)
            .join(item, (item.c.run_seq == attempt.c.run_seq) & (item.c.item_index == attempt.c.item_index))
            .where(attempt.c.run_seq == run_seq, item.c.shard == number)
            .order_by(attempt.c.item_index, attempt.c.attempt)
        )
        lines = "".join(f"{row[0]} {row[1]} {row[2] or '-'}\n" for row in rows)
        found[number] = hashlib.sha256(lines.encode()).hexdigest()
        place = (shard.c.run_seq == run_seq) & (shard.c.number == number)
        connection.execute(update(shard).where(place).values(files_sha256=found[number]))
    return found
