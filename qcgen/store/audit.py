"""The audit chain: h_n = sha256(h_{n-1} || sha256(canonical JSON of event n)).

It shows edits, deletions and reordering below its last known hash. It cannot show that somebody cut events off the
end or rewrote the whole file: only a checkpoint kept elsewhere can.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Row, insert, select

from qcgen.store.codec import to_json
from qcgen.store.dialect import Dialect
from qcgen.store.schema import audit_event

GENESIS = "0" * 64
PROGRAM = "qcgen"
"""Who did what no person is named for."""


def append(
    connection: Connection, dialect: Dialect, *, ts: str, actor: str, action: str, subject: str, body: Mapping[str, str]
) -> str:
    """Add one event in the caller's transaction, with the change that it tells of; returns its hash."""
    dialect.lock(connection, "audit")
    last = connection.execute(
        select(audit_event.c.seq, audit_event.c.hash).order_by(audit_event.c.seq.desc()).limit(1)
    ).first()
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    event: dict[str, object] = {
        "seq": seq,
        "ts": ts,
        "actor": actor,
        "action": action,
        "object": subject,
        "body": dict(body),
    }
    digest = link(previous, event)
    connection.execute(
        insert(audit_event), {**event, "body": to_json(event["body"]), "prev_hash": previous, "hash": digest}
    )
    return digest


def link(previous: str, event: Mapping[str, object]) -> str:
    body = hashlib.sha256(to_json(event).encode("utf-8")).digest()
    return hashlib.sha256(bytes.fromhex(previous) + body).hexdigest()


def problems(connection: Connection) -> list[str]:
    """Walk the whole chain; the first break is enough, as all later hashes hang on it."""
    query = select(audit_event).order_by(audit_event.c.seq)
    with connection.execution_options(yield_per=5_000).execute(query) as stream:
        return _first_break(stream)


def _first_break(stream: Iterable[Row[tuple[object, ...]]]) -> list[str]:
    expected_seq, previous = 1, GENESIS
    for row in stream:
        if row.seq != expected_seq:
            return [f"audit event {expected_seq}: missing"]
        if row.prev_hash != previous:
            return [f"audit event {row.seq}: does not follow the event before it"]
        try:
            body = json.loads(row.body)
        except ValueError:
            return [f"audit event {row.seq}: its body is not JSON"]
        event = {
            "seq": row.seq,
            "ts": row.ts,
            "actor": row.actor,
            "action": row.action,
            "object": row.object,
            "body": body,
        }
        if link(previous, event) != row.hash:
            return [f"audit event {row.seq}: changed after it was written"]
        expected_seq, previous = row.seq + 1, row.hash
    return []
