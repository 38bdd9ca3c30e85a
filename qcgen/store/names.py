"""Dictionary tables: a text that repeats is stored once and named by a small number."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, Table, select, tuple_

from qcgen.core.types import Card, Lineage
from qcgen.store import schema
from qcgen.store.codec import sha256
from qcgen.store.dialect import Dialect

Key = tuple[object, ...]


def prompt_ids(connection: Connection, dialect: Dialect, prompts: Collection[str]) -> dict[str, int]:
    digests = {sha256(prompt): prompt for prompt in prompts}
    rows = [(digest, prompt) for digest, prompt in sorted(digests.items())]
    ids = _ids(connection, dialect, schema.prompt, ("sha256", "text"), 1, rows)
    return {prompt: ids[(digest,)] for digest, prompt in rows}


def metric_ids(
    connection: Connection, dialect: Dialect, detectors: Collection[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    ids = _ids(connection, dialect, schema.metric_def, ("detector", "version"), 2, sorted(detectors))
    return {key: ids[key] for key in detectors}


def policy_ids(connection: Connection, dialect: Dialect, digests: Collection[str]) -> dict[str, int]:
    ids = _ids(connection, dialect, schema.policy, ("sha256",), 1, [(digest,) for digest in sorted(digests)])
    return {digest: ids[(digest,)] for digest in digests}


def model_id(connection: Connection, dialect: Dialect, *, name: str, digest: str) -> int:
    """The model's number; one whose card nobody registered is stored as undeclared."""
    return _ids(connection, dialect, schema.model, ("digest", "name", "declared"), 1, [(digest, name, 0)])[(digest,)]


def register_card(connection: Connection, dialect: Dialect, *, digest: str, card: Card) -> bool:
    """Store what a model's card declares: licence and lineage; a card that changed replaces the one before.

    Returns:
        False where it was stored already.
    """
    edges = {(edge.relation, edge.parent): edge.licence for edge in card.lineage}
    kept = Card(
        name=card.name,
        kind=card.kind,
        licence=card.licence or None,
        lineage=tuple(Lineage(*place, licence) for place, licence in sorted(edges.items())),
        declared=card.declared,
        measures={},
        notes={},
    )
    if card_of(connection, digest) == kept:
        return False
    number = model_id(connection, dialect, name=kept.name, digest=digest)
    licences = {edge.licence for edge in kept.lineage} | ({kept.licence} if kept.licence else set())
    ids = _ids(connection, dialect, schema.licence, ("name",), 1, [(name,) for name in sorted(licences)])
    connection.execute(
        schema.model.update()
        .where(schema.model.c.id == number)
        .values(
            name=kept.name,
            kind=kept.kind,
            declared=int(kept.declared),
            licence_id=ids[(kept.licence,)] if kept.licence else None,
        )
    )
    connection.execute(schema.model_lineage.delete().where(schema.model_lineage.c.model_id == number))
    if kept.lineage:
        connection.execute(
            schema.model_lineage.insert(),
            [
                {
                    "model_id": number,
                    "relation": edge.relation,
                    "parent": edge.parent,
                    "licence_id": ids[(edge.licence,)],
                }
                for edge in kept.lineage
            ],
        )
    return True


def card_of(connection: Connection, digest: str) -> Card | None:
    """What was registered, lineage in order; None for a model of which only name and digest are known."""
    model, licence, edge = schema.model.c, schema.licence.c, schema.model_lineage.c
    found = connection.execute(
        select(model.id, model.name, model.kind, model.declared, licence.name.label("licence"))
        .select_from(schema.model.outerjoin(schema.licence))
        .where(model.digest == digest)
    ).first()
    if found is None or found.kind is None:
        return None
    edges = connection.execute(
        select(edge.relation, edge.parent, licence.name)
        .select_from(schema.model_lineage.join(schema.licence))
        .where(edge.model_id == found.id)
    )
    return Card(
        name=found.name,
        kind=found.kind,
        licence=found.licence,
        lineage=tuple(Lineage(*one) for one in sorted(tuple(edge) for edge in edges)),
        declared=bool(found.declared),
        measures={},
        notes={},
    )


def _ids(
    connection: Connection, dialect: Dialect, table: Table, columns: Sequence[str], key_width: int, rows: Sequence[Key]
) -> dict[Key, int]:
    # Rows come sorted: two PostgreSQL writers that add the same names in two orders would deadlock.
    keys = [row[:key_width] for row in rows]
    found = _find(connection, table, columns[:key_width], keys)
    missing = [dict(zip(columns, row, strict=True)) for row in rows if row[:key_width] not in found]
    if missing:
        dialect.insert_missing(connection, table, missing)
        found = _find(connection, table, columns[:key_width], keys)
    return found


def _find(connection: Connection, table: Table, columns: Sequence[str], keys: Sequence[Key]) -> dict[Key, int]:
    named = [table.c[column] for column in columns]
    found: dict[Key, int] = {}
    for start in range(0, len(keys), 1000):
        wanted = keys[start : start + 1000]
        condition = named[0].in_([key[0] for key in wanted]) if len(named) == 1 else tuple_(*named).in_(wanted)
        for row in connection.execute(select(*named, table.c.id).where(condition)):
            found[tuple(row[:-1])] = row[-1]
    return found
