"""Rows back as values, a page at a time: six statements a page, never one per image."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, Select, func, select, tuple_

from qcgen.core.types import Finding, Outcome, Row, Severity
from qcgen.store.schema import attempt, finding, item, metric, metric_def, prompt, thumbnail, unscored, verdict
from qcgen.store.standing import has_decisions, verdict_of, words_of

PAGE = 2_000

Place = tuple[int, int]
FIRST: Place = (-1, 0)


def page(connection: Connection, run_seq: int, *, after: Place, every_attempt: bool, limit: int = PAGE) -> list[Row]:
    """The next rows in order of item, then attempt, behind the place (item index, attempt)."""
    query = _query(run_seq).where(tuple_(attempt.c.item_index, attempt.c.attempt) > after).limit(limit)
    if not every_attempt:
        query = query.where(attempt.c.current == 1)
    return _rows(connection, run_seq, query)


def one(connection: Connection, run_seq: int, image_id: str) -> Row | None:
    """One attempt by its id."""
    found = _rows(connection, run_seq, _query(run_seq).where(attempt.c.image_id == image_id))
    return found[0] if found else None


def _query(run_seq: int) -> Select[tuple[object, ...]]:
    return (
        select(
            attempt.c.id,
            attempt.c.item_index,
            attempt.c.image_id,
            item.c.sku,
            prompt.c.text,
            item.c.fields,
            attempt.c.seed,
            attempt.c.attempt,
            attempt.c.current,
            verdict.c.outcome,
            verdict.c.joint_p,
            attempt.c.error,
            attempt.c.relpath,
            attempt.c.file_sha256,
            attempt.c.bytes,
            attempt.c.width,
            attempt.c.height,
            attempt.c.gen_s,
            attempt.c.verdict,
            thumbnail.c.picture,
        )
        .join(item, (item.c.run_seq == attempt.c.run_seq) & (item.c.item_index == attempt.c.item_index))
        .join(prompt, prompt.c.id == item.c.prompt_id)
        .join(verdict, (verdict.c.attempt_id == attempt.c.id) & (verdict.c.number == attempt.c.verdict))
        .outerjoin(thumbnail, thumbnail.c.attempt_id == attempt.c.id)
        .where(attempt.c.run_seq == run_seq)
        .order_by(attempt.c.item_index, attempt.c.attempt)
    )


def _rows(connection: Connection, run_seq: int, query: Select[tuple[object, ...]]) -> list[Row]:
    found = connection.execute(query).all()
    ids = [row.id for row in found]
    measures, reasons_unscored = _measures(connection, ids), _unscored(connection, ids)
    reasons = _findings(connection, {row.id: row.verdict for row in found})
    decided = has_decisions(connection, run_seq)
    words = words_of(connection, run_seq, [row.image_id for row in found]) if decided else {}
    return [
        Row(
            item_index=row.item_index,
            image_id=row.image_id,
            sku=row.sku,
            prompt=row.text,
            fields=json.loads(row.fields),
            seed=row.seed,
            attempt=row.attempt,
            current=row.current == 1,
            outcome=Outcome(row.outcome),
            reasons=tuple(reasons.get(row.id, ())),
            joint_p=row.joint_p,
            decision=verdict_of(words.get(row.image_id, ()), row.file_sha256),
            error=row.error,
            relpath=row.relpath,
            file_sha256=row.file_sha256,
            bytes=row.bytes,
            width=row.width,
            height=row.height,
            gen_s=row.gen_s,
            measures=measures.get(row.id, {}),
            unscored=reasons_unscored.get(row.id, {}),
            thumbnail=row.picture,
        )
        for row in found
    ]


def hashes(connection: Connection, run_seq: int) -> tuple[tuple[str, str, str], ...]:
    """(image_id, pixels_sha256, phash) of every attempt that has them, in order of item, then attempt."""
    # Schema 0001 kept no digest of the pixels; its files are told apart by their bytes.
    digest = func.coalesce(attempt.c.pixels_sha256, attempt.c.file_sha256)
    rows = connection.execute(
        select(attempt.c.image_id, digest, attempt.c.phash)
        .where(attempt.c.run_seq == run_seq, attempt.c.file_sha256.is_not(None), attempt.c.phash.is_not(None))
        .order_by(attempt.c.item_index, attempt.c.attempt)
    )
    return tuple((row[0], row[1], row[2]) for row in rows)


def _measures(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, float]]:
    # Pages are small, and one fetchall is cheaper than as many fetchones.
    names = _detectors(connection)
    found: dict[int, dict[str, float]] = {}
    query = select(metric.c.attempt_id, metric.c.metric_id, metric.c.value).where(metric.c.attempt_id.in_(ids))
    for attempt_id, metric_id, value in connection.execute(
        query.order_by(metric.c.attempt_id, metric.c.metric_id)
    ).all():
        found.setdefault(attempt_id, {})[names[metric_id]] = value
    return found


def _unscored(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, str]]:
    names = _detectors(connection)
    found: dict[int, dict[str, str]] = {}
    query = select(unscored.c.attempt_id, unscored.c.metric_id, unscored.c.reason).where(unscored.c.attempt_id.in_(ids))
    for attempt_id, metric_id, reason in connection.execute(
        query.order_by(unscored.c.attempt_id, unscored.c.metric_id)
    ).all():
        found.setdefault(attempt_id, {})[names[metric_id]] = reason
    return found


def _detectors(connection: Connection) -> dict[int, str]:
    return {row[0]: row[1] for row in connection.execute(select(metric_def.c.id, metric_def.c.detector))}


def _findings(connection: Connection, standing: dict[int, int]) -> dict[int, list[Finding]]:
    found: dict[int, list[Finding]] = {}
    query = select(finding).where(finding.c.attempt_id.in_(list(standing)))
    for row in connection.execute(query.order_by(finding.c.attempt_id, finding.c.verdict, finding.c.place)).all():
        if row.verdict == standing[row.attempt_id]:
            found.setdefault(row.attempt_id, []).append(
                Finding(
                    kind=row.kind,
                    severity=Severity(row.severity),
                    message=row.message,
                    value=row.value,
                    threshold=row.threshold,
                    evidence=json.loads(row.evidence),
                )
            )
    return found
