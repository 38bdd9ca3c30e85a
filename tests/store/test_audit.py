"""The audit chain: one event per shard, append-only by the database itself, every change found."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from qcgen.core.types import Shard
from qcgen.store import audit, schema
from qcgen.store.sql import SqlStore
from qcgen.store.write import files_digest
from tests.store.build import produced, run_info, shards, whole_shard


@pytest.fixture
def chain(store: SqlStore) -> SqlStore:
    store.start_run(run_info(), shards(8, 4))
    for _ in range(2):
        leased = store.lease("run-1", "worker-7", seconds=60)
        assert leased is not None
        assert store.record("run-1", *leased, whole_shard(leased[0]))
    return store


def test_a_shard_leaves_one_event_with_the_digest_of_its_files(chain: SqlStore) -> None:
    with chain.database.read() as connection:
        events = connection.execute(select(schema.audit_event).order_by(schema.audit_event.c.seq)).all()
        stored = connection.execute(select(schema.shard.c.files_sha256).order_by(schema.shard.c.number)).scalars().all()
    assert [event.action for event in events] == ["run.start", "shard.done", "shard.done"]
    digests = [files_digest(whole_shard(shard)) for shard in shards(8, 4)]
    assert stored == digests
    assert [f'"files_sha256":"{digest}"' in event.body for event, digest in zip(events[1:], digests, strict=True)] == [
        True,
        True,
    ]
    assert [event.actor for event in events] == ["qcgen", "worker-7", "worker-7"]


def test_the_digest_of_the_files_changes_with_any_file_and_not_with_their_order() -> None:
    given = whole_shard(Shard(0, 0, 3))
    assert files_digest(given) == files_digest(given[::-1])
    assert files_digest(given) != files_digest([*given[:2], produced(2, run_id="other")])


def test_a_whole_chain_has_no_problems(chain: SqlStore) -> None:
    chain.audit("run-1", "note", {"text": "größer <b>", "empty": ""})
    assert _problems(chain) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET body = '{}' WHERE seq = 2",
        "DELETE FROM audit_event WHERE seq = 3",
        "DELETE FROM audit_event",
        "INSERT INTO audit_event SELECT 9, ts, actor, action, object, body, 'x', 'y' FROM audit_event WHERE seq = 1",
    ],
)
def test_the_database_refuses_to_change_events(chain: SqlStore, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"), chain.database.engine.begin() as connection:
        connection.execute(text(statement))
    assert _problems(chain) == []


def test_sqlite_refuses_to_replace_an_event() -> None:
    from qcgen.store.sql import open_store

    store = open_store("sqlite://")
    store.audit("run-1", "note", {})
    with pytest.raises(DBAPIError, match="append-only"), store.database.engine.begin() as connection:
        # With recursive_triggers off, as another program would have it, REPLACE fires no delete trigger.
        connection.execute(text("INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event WHERE seq = 1"))
    store.close()


def test_postgres_refuses_to_truncate_the_events(postgres_url: str) -> None:
    from qcgen.store.sql import open_store

    store = open_store(postgres_url)
    store.audit("run-1", "note", {})
    with pytest.raises(DBAPIError, match="append-only"), store.database.engine.begin() as connection:
        connection.execute(text("TRUNCATE audit_event"))
    store.close()


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (['UPDATE audit_event SET body = \'{"shard":"9"}\' WHERE seq = 2'], "event 2: changed"),
        (["UPDATE audit_event SET actor = 'other' WHERE seq = 1"], "event 1: changed"),
        (["UPDATE audit_event SET body = 'x' WHERE seq = 3"], "event 3: its body"),
        (["DELETE FROM audit_event WHERE seq = 2"], "event 2: missing"),
        (["DELETE FROM audit_event WHERE seq = 1"], "event 1: missing"),
        (
            [
                "DELETE FROM audit_event WHERE seq = 2",
                "UPDATE audit_event SET seq = 2 WHERE seq = 3",
            ],
            "event 2: does not follow",
        ),
    ],
)
def test_whoever_drops_the_triggers_is_found_out(chain: SqlStore, statements: list[str], found: str) -> None:
    sqlite = chain.database.engine.dialect.name == "sqlite"
    with chain.database.engine.begin() as connection:
        if sqlite:
            for name in ("audit_event_no_update", "audit_event_no_delete"):
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
        for statement in statements:
            connection.execute(text(statement))
    problems = _problems(chain)
    assert len(problems) == 1
    assert found in problems[0]


def _problems(store: SqlStore) -> list[str]:
    with store.database.read() as connection:
        return audit.problems(connection)
