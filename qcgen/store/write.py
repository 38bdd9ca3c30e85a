"""One shard's attempts into rows, and new verdicts beside old ones."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from sqlalchemy import Connection, Table, bindparam, insert, select, update

from qcgen.core.errors import IntegrityError
from qcgen.core.types import Outcome, Produced, Score, Shard, Unscored, Verdict
from qcgen.store import schema
from qcgen.store.codec import finite, to_json
from qcgen.store.dialect import Dialect
from qcgen.store.names import metric_ids, policy_ids, prompt_ids
from qcgen.store.reviewschema import review_decision, review_regeneration

Values = dict[str, object]

_RANK = {Outcome.FAILED: 0, Outcome.REJECT: 1, Outcome.REVIEW: 2, Outcome.ACCEPT: 3}
_PAGE = 2_000


def standing(attempts: Iterable[tuple[int, Outcome]], replaced: Set[int] = frozenset()) -> int:
    """Which attempt at an item stands: the best outcome, and of equals the latest.

    One that people had replaced stands only where all later ones failed.
    """

    def rank(each: tuple[int, Outcome]) -> tuple[int, int, int]:
        number, outcome = each
        if outcome is Outcome.FAILED:
            return (0, 0, number)
        return (1, 0, number) if number in replaced else (2, _RANK[outcome], number)

    return max(attempts, key=rank)[0]


def check_complete(shard: Shard, produced: Sequence[Produced]) -> None:
    """Refuse a shard whose items are not all there, or that brings others; a done shard is never looked at again."""
    given = {each.item.index for each in produced}
    wanted = set(range(shard.start, shard.stop))
    if given != wanted:
        lost, alien = sorted(wanted - given)[:5], sorted(given - wanted)[:5]
        raise IntegrityError(
            f"shard {shard.number} [{shard.start}, {shard.stop}): items {lost} are missing, {alien} are not its own."
        )


def files_digest(produced: Sequence[Produced]) -> str:
    """sha256 over the lines `index attempt file_sha256` of all attempts, in that order; a failed one has `-`."""
    lines = sorted((each.item.index, each.item.attempt, each.image.sha256 if each.image else "-") for each in produced)
    return hashlib.sha256(
        "".join(f"{index} {attempt} {digest}\n" for index, attempt, digest in lines).encode()
    ).hexdigest()


def insert_attempts(
    connection: Connection, dialect: Dialect, *, run_seq: int, shard: Shard, produced: Sequence[Produced], now: str
) -> None:
    """Insert every attempt with its image, scores, verdict and findings: nine statements, however many images."""
    produced = sorted(produced, key=lambda each: (each.item.index, each.item.attempt))
    items = {each.item.index: each.item for each in produced}
    prompts = prompt_ids(connection, dialect, {each.prompt for each in items.values()})
    _insert(
        connection,
        schema.item,
        [
            {
                "run_seq": run_seq,
                "item_index": each.index,
                "shard": shard.number,
                "sku": each.sku,
                "prompt_id": prompts[each.prompt],
                "fields": to_json(dict(each.fields)),
            }
            for each in items.values()
        ],
    )
    current = _standing_by_item((each.item.index, each.item.attempt, each.verdict.outcome) for each in produced)
    standing_rows = [(each, current[each.item.index] == each.item.attempt) for each in produced]
    _insert_all(connection, dialect, run_seq=run_seq, rows=standing_rows, now=now)


def insert_extra(
    connection: Connection, dialect: Dialect, *, run_seq: int, produced: Sequence[Produced], now: str
) -> None:
    """Further attempts at items that are there; none of them stands yet."""
    _insert_all(connection, dialect, run_seq=run_seq, rows=[(each, False) for each in produced], now=now)


def _insert_all(
    connection: Connection, dialect: Dialect, *, run_seq: int, rows: Sequence[tuple[Produced, bool]], now: str
) -> None:
    _insert(connection, schema.attempt, [_attempt_row(run_seq, each, current) for each, current in rows])
    produced = [each for each, _ in rows]
    ids = _attempt_ids(connection, run_seq, [each.item.index for each in produced])
    numbered = [(ids[each.item.index, each.item.attempt], each) for each in produced]
    _insert_measures(connection, dialect, numbered)
    _insert(
        connection,
        schema.thumbnail,
        [{"attempt_id": i, "picture": each.thumbnail} for i, each in numbered if each.thumbnail is not None],
    )
    _insert_verdicts(connection, dialect, [_Decided(i, 1, each.verdict) for i, each in numbered], now)


def replace_verdicts(
    connection: Connection, dialect: Dialect, *, run_seq: int, verdicts: Sequence[tuple[str, Verdict]], now: str
) -> None:
    """Add a verdict to each named image and let it stand; which attempt stands at an item follows."""
    decided: list[_Decided] = []
    for start in range(0, len(verdicts), _PAGE):
        page = verdicts[start : start + _PAGE]
        known = _known_attempts(connection, run_seq, [image_id for image_id, _ in page])
        for image_id, verdict in page:
            if image_id not in known:
                raise IntegrityError(f"image {image_id} is not in this run, so that it has no verdict to replace.")
            attempt_id, number = known[image_id]
            decided.append(_Decided(attempt_id, number + 1, verdict))
    _insert_verdicts(connection, dialect, decided, now)
    if decided:
        connection.execute(
            update(schema.attempt)
            .where(schema.attempt.c.id == bindparam("attempt_id"))
            .values(verdict=bindparam("number")),
            [{"attempt_id": each.attempt_id, "number": each.number} for each in decided],
        )
    restand(connection, run_seq)


@dataclass(frozen=True, slots=True)
class _Decided:
    attempt_id: int
    number: int
    verdict: Verdict


def _insert(connection: Connection, table: Table, rows: list[Values]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _attempt_row(run_seq: int, each: Produced, current: bool) -> Values:
    image = each.image
    return {
        "run_seq": run_seq,
        "item_index": each.item.index,
        "attempt": each.item.attempt,
        "current": int(current),
        "verdict": 1,
        "image_id": each.item.id,
        "seed": each.item.seed,
        "size_px": each.item.size_px,
        "gen_s": finite(each.gen_s, "gen_s"),
        "error": each.error,
        "relpath": image.relpath if image else None,
        "file_sha256": image.sha256 if image else None,
        "pixels_sha256": image.pixels_sha256 if image else None,
        "bytes": image.bytes if image else 0,
        "width": image.width if image else 0,
        "height": image.height if image else 0,
        "phash": each.phash,
    }


def _attempt_ids(connection: Connection, run_seq: int, indices: Sequence[int]) -> dict[tuple[int, int], int]:
    attempt = schema.attempt.c
    rows = connection.execute(
        select(attempt.item_index, attempt.attempt, attempt.id).where(
            attempt.run_seq == run_seq, attempt.item_index >= min(indices), attempt.item_index <= max(indices)
        )
    )
    return {(row[0], row[1]): row[2] for row in rows}


def _insert_measures(connection: Connection, dialect: Dialect, numbered: Sequence[tuple[int, Produced]]) -> None:
    ids = metric_ids(connection, dialect, {(m.detector, m.version) for _, each in numbered for m in each.measures})
    scores: list[Values] = []
    unscored: list[Values] = []
    for attempt_id, each in numbered:
        for measure in each.measures:
            metric_id = ids[measure.detector, measure.version]
            match measure:
                case Score(value=value):
                    scores.append(
                        {"attempt_id": attempt_id, "metric_id": metric_id, "value": finite(value, measure.detector)}
                    )
                case Unscored(reason=reason):
                    unscored.append({"attempt_id": attempt_id, "metric_id": metric_id, "reason": reason})
    _insert(connection, schema.metric, scores)
    _insert(connection, schema.unscored, unscored)


def _insert_verdicts(connection: Connection, dialect: Dialect, decided: Sequence[_Decided], now: str) -> None:
    policies = policy_ids(connection, dialect, {each.verdict.policy_sha256 for each in decided})
    _insert(
        connection,
        schema.verdict,
        [
            {
                "attempt_id": each.attempt_id,
                "number": each.number,
                "outcome": str(each.verdict.outcome),
                "joint_p": None if each.verdict.joint_p is None else finite(each.verdict.joint_p, "joint_p"),
                "policy_id": policies[each.verdict.policy_sha256],
                "decided_at": now,
            }
            for each in decided
        ],
    )
    _insert(
        connection,
        schema.finding,
        [
            {
                "attempt_id": each.attempt_id,
                "verdict": each.number,
                "place": place,
                "kind": reason.kind,
                "severity": str(reason.severity),
                "message": reason.message,
                "value": None if reason.value is None else finite(reason.value, reason.kind),
                "threshold": None if reason.threshold is None else finite(reason.threshold, reason.kind),
                "evidence": to_json(dict(reason.evidence)),
            }
            for each in decided
            for place, reason in enumerate(each.verdict.reasons)
        ],
    )


def _known_attempts(connection: Connection, run_seq: int, image_ids: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    attempt = schema.attempt.c
    rows = connection.execute(
        select(attempt.image_id, attempt.id, attempt.verdict).where(
            attempt.run_seq == run_seq, attempt.image_id.in_(image_ids)
        )
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def restand(connection: Connection, run_seq: int, indices: Sequence[int] | None = None) -> None:
    """Decide anew which attempt stands at these items, or at all."""
    attempt, verdict = schema.attempt, schema.verdict
    query = (
        select(attempt.c.item_index, attempt.c.attempt, attempt.c.id, attempt.c.current, verdict.c.outcome)
        .join(verdict, (verdict.c.attempt_id == attempt.c.id) & (verdict.c.number == attempt.c.verdict))
        .where(attempt.c.run_seq == run_seq)
    )
    if indices is not None:
        query = query.where(attempt.c.item_index.in_(indices))
    rows = connection.execute(query).all()
    replaced = _replaced(connection, run_seq)
    wanted = _standing_by_item(((row.item_index, row.attempt, Outcome(row.outcome)) for row in rows), replaced)
    changes = [(row.id, int(wanted[row.item_index] == row.attempt)) for row in rows]
    stored = {row.id: row.current for row in rows}
    # The index allows one standing attempt at an item, so that the old one steps down first.
    for flag in (0, 1):
        changed = [{"attempt_id": i} for i, current in changes if current == flag and stored[i] != flag]
        if changed:
            connection.execute(
                update(attempt).where(attempt.c.id == bindparam("attempt_id")).values(current=flag), changed
            )


def _replaced(connection: Connection, run_seq: int) -> Mapping[int, Set[int]]:
    """Attempts that people had replaced, by item."""
    attempt, said = schema.attempt.c, review_decision.c
    query = (
        select(attempt.item_index, attempt.attempt)
        .join(review_decision, (said.run_seq == attempt.run_seq) & (said.image_id == attempt.image_id))
        .join(review_regeneration, review_regeneration.c.decision_id == said.id)
        .where(review_regeneration.c.run_seq == run_seq)
    )
    found: dict[int, set[int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.item_index, set()).add(row.attempt)
    return found


def _standing_by_item(
    attempts: Iterable[tuple[int, int, Outcome]], replaced: Mapping[int, Set[int]] | None = None
) -> dict[int, int]:
    by_item: dict[int, list[tuple[int, Outcome]]] = {}
    for index, number, outcome in attempts:
        by_item.setdefault(index, []).append((number, outcome))
    taken_out = replaced or {}
    return {index: standing(each, taken_out.get(index, frozenset())) for index, each in by_item.items()}
