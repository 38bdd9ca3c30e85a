"""Upgrade, check, back up, restore; and the refusal of what this code does not know."""

import random
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from qcgen.core.errors import IntegrityError, QcgenError, SpecError
from qcgen.store import admin
from qcgen.store.engine import Database, open_database
from qcgen.store.migrate import MIGRATIONS, ensure_current, schema_problems
from qcgen.store.schema import HEAD, VERSION_TABLE, metadata
from qcgen.store.sql import SqlStore, open_store
from tests.store.build import run_info, shards, whole_shard


def test_the_newest_revision_is_the_one_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_migrations_make_what_the_models_say(url: str) -> None:
    admin.upgrade(url)
    database = open_database(url)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert schema_problems(database, connection) == []
    database.engine.dispose()


def test_on_sqlite_the_migrations_make_the_same_statements_as_the_models(tmp_path: Path) -> None:
    migrated, created = open_database(f"sqlite:///{tmp_path / 'a.db'}"), open_database(f"sqlite:///{tmp_path / 'b.db'}")
    ensure_current(migrated)
    with created.write() as connection:
        metadata.create_all(connection)
    assert _statements(migrated) == _statements(created)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DROP TRIGGER audit_event_no_delete", "trigger audit_event_no_delete"),
        ("DROP INDEX ux_attempt_current", "table attempt: indexes"),
        ("DROP TABLE unscored", "table unscored: missing"),
        ("ALTER TABLE run ADD COLUMN extra TEXT", "table run: columns"),
    ],
)
def test_a_database_that_is_not_what_the_models_say_is_refused(sqlite_url: str, change: str, told: str) -> None:
    store = open_store(sqlite_url)
    with store.database.engine.begin() as connection:
        connection.execute(text(change))
    store.close()
    with pytest.raises(IntegrityError, match=told):
        open_store(sqlite_url)
    assert any(told in finding.message for finding in admin.check(sqlite_url))


def test_postgres_triggers_that_are_switched_off_are_refused(postgres_url: str) -> None:
    store = open_store(postgres_url)
    with store.database.engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER audit_event_no_change"))
    store.close()
    with pytest.raises(IntegrityError, match="audit_event_no_change: missing or switched off"):
        open_store(postgres_url)


def test_a_database_newer_than_the_code_is_refused(url: str) -> None:
    store = open_store(url)
    with store.database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    store.close()
    for call in (open_store, admin.upgrade, admin.check):
        with pytest.raises(SpecError, match=r"newer qcgen \(schema 9999.*Cure: install that version"):
            call(url)


def test_a_database_of_another_program_is_refused_and_left_alone(url: str) -> None:
    database = open_database(url)
    with database.write() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    with pytest.raises(SpecError, match="another program"):
        open_store(url)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM invoices")).scalar() == 0
    database.engine.dispose()


def test_an_older_database_is_copied_upgraded_and_keeps_its_rows_and_triggers(tmp_path: Path, sqlite_url: str) -> None:
    _filled(sqlite_url).close()
    database = open_database(sqlite_url)
    assert ensure_current(database, migrations=_with_a_rebuild(tmp_path), head="0004") == "0003"
    with database.read() as connection:
        # A batch rebuild drops triggers and, on a parent table, children; both must be there.
        assert schema_problems(database, connection) == []
        assert connection.execute(text("SELECT count(*) FROM metric")).scalar() == 8 * 3
        assert connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar() == "0004"
    database.engine.dispose()
    assert admin.check(f"sqlite:///{tmp_path / 'qcgen.db.before-0004'}") == ()


def test_tables_of_the_first_schema_become_those_of_today(url: str) -> None:
    database = open_database(url)
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    assert ensure_current(database) == "0001"
    with database.read() as connection:
        assert schema_problems(database, connection) == []
    database.engine.dispose()


def test_an_upgrade_that_fails_leaves_the_database_as_it_was(tmp_path: Path, sqlite_url: str) -> None:
    _filled(sqlite_url).close()
    database = open_database(sqlite_url)
    broken = _with_a_rebuild(tmp_path, then='op.execute("DELETE FROM prompt")\n    op.execute("this is not SQL")')
    with pytest.raises(QcgenError, match="syntax error"):
        ensure_current(database, migrations=broken, head="0004")
    database.engine.dispose()
    assert admin.check(sqlite_url) == ()
    store = open_store(sqlite_url)
    assert len(list(store.rows("run-1"))) == 8
    store.close()


def test_an_upgrade_that_breaks_a_foreign_key_is_undone(tmp_path: Path, sqlite_url: str) -> None:
    _filled(sqlite_url).close()
    database = open_database(sqlite_url)
    with pytest.raises(IntegrityError, match="points at no row"):
        ensure_current(
            database, migrations=_with_a_rebuild(tmp_path, then='op.execute("DELETE FROM prompt")'), head="0004"
        )
    database.engine.dispose()
    assert admin.check(sqlite_url) == ()


def test_a_sound_database_has_no_findings(url: str) -> None:
    _filled(url).close()
    assert admin.check(url) == ()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("DELETE FROM item WHERE item_index = 3", "database.rows"),
        ("UPDATE attempt SET current = 0 WHERE item_index = 2", "database.rows"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM prompt", "database.pages"),
    ],
)
def test_lost_rows_are_found(sqlite_url: str, tmp_path: Path, change: str, kind: str) -> None:
    _filled(sqlite_url).close()
    raw = sqlite3.connect(tmp_path / "qcgen.db")
    raw.executescript("PRAGMA foreign_keys = ON; " + change)
    raw.close()
    assert {finding.kind for finding in admin.check(sqlite_url)} == {kind}


def test_flipped_bytes_are_found_or_harmless(sqlite_url: str, tmp_path: Path) -> None:
    store = _filled(sqlite_url)
    rows = list(store.rows("run-1", every_attempt=True))
    store.close()
    file = tmp_path / "qcgen.db"
    whole = file.read_bytes()
    found = 0
    for seed in range(20):
        damaged = bytearray(whole)
        generator = random.Random(seed)
        for _ in range(100):
            place = generator.randrange(len(damaged))
            damaged[place] ^= generator.randrange(1, 256)
        file.write_bytes(damaged)
        found += _is_refused_or_same(sqlite_url, rows)
    # 100 flips over 35 pages always hit a page that is in use.
    assert found == 20


def test_a_backup_taken_while_a_run_writes_restores_the_runs_rows(sqlite_url: str, tmp_path: Path) -> None:
    store = _filled(sqlite_url)
    rows = list(store.rows("run-1"))
    copy = admin.backup(sqlite_url, tmp_path / "copy.db")
    store.reopen("run-1", 0)
    assert len(list(store.rows("run-1"))) == 4
    kept = admin.restore(sqlite_url, copy)
    # The store is still open: its next reads see the restored rows.
    assert list(store.rows("run-1")) == rows
    store.close()
    assert admin.check(sqlite_url) == ()
    assert kept is not None
    before = open_store(f"sqlite:///{kept}")
    assert len(list(before.rows("run-1"))) == 4
    before.close()


def test_a_backup_restores_over_a_damaged_and_over_a_missing_database(sqlite_url: str, tmp_path: Path) -> None:
    store = _filled(sqlite_url)
    rows = list(store.rows("run-1"))
    store.close()
    file = tmp_path / "qcgen.db"
    copy = admin.backup(sqlite_url, tmp_path / "copy.db")
    file.write_bytes(b"\0" * 4096)
    assert admin.restore(sqlite_url, copy) == tmp_path / "qcgen.db.damaged-1"
    assert _rows(sqlite_url) == rows
    file.unlink()
    assert admin.restore(sqlite_url, copy) is None
    assert _rows(sqlite_url) == rows


def test_a_damaged_backup_is_not_restored(sqlite_url: str, tmp_path: Path) -> None:
    store = _filled(sqlite_url)
    rows = list(store.rows("run-1"))
    store.close()
    copy = admin.backup(sqlite_url, tmp_path / "copy.db")
    content = bytearray(copy.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    copy.write_bytes(content)
    with pytest.raises(IntegrityError):
        admin.restore(sqlite_url, copy)
    assert _rows(sqlite_url) == rows
    assert sorted(path.name for path in tmp_path.iterdir() if "restoring" in path.name) == []


def test_a_backup_is_not_written_over_a_file(sqlite_url: str, tmp_path: Path) -> None:
    _filled(sqlite_url).close()
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(SpecError, match="exists already"):
        admin.backup(sqlite_url, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"


def test_a_backup_of_postgres_names_its_own_tool(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="pg_dump"):
        admin.backup(postgres_url, tmp_path / "copy.db")


def _filled(url: str) -> SqlStore:
    store = open_store(url)
    store.start_run(run_info(), shards(8, 4))
    while (leased := store.lease("run-1", "me", seconds=60)) is not None:
        assert store.record("run-1", *leased, whole_shard(leased[0]))
    return store


def _rows(url: str) -> list[object]:
    store = open_store(url)
    rows = list[object](store.rows("run-1"))
    store.close()
    return rows


def _statements(database: Database) -> dict[str, tuple[list[str], str]]:
    """Each table's and index's parts, sorted, and what follows the last bracket: the order of constraints is free."""
    query = text("SELECT name, sql FROM sqlite_schema WHERE type <> 'trigger' AND sql IS NOT NULL")
    with database.read() as connection:
        statements = {name: " ".join(sql.split()) for name, sql in connection.execute(query) if name != VERSION_TABLE}
    database.engine.dispose()
    parts = {name: sql.rpartition(")") for name, sql in statements.items()}
    return {
        name: (sorted(body.strip() for body in re.split(", (?=CONSTRAINT)", head)), tail)
        for name, (head, _, tail) in parts.items()
    }


def _with_a_rebuild(tmp_path: Path, then: str = "pass") -> Path:
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "r0004_rebuild.py").write_text(
        f"""from alembic import op
import sqlalchemy as sa
revision, down_revision = "0004", "0003"


def upgrade():
    for name in ("audit_event", "attempt", "review_decision"):
        with op.batch_alter_table(name, recreate="always", table_kwargs={{"sqlite_strict": True}}):
            pass
    {then}
"""
    )
    return folder


def _is_refused_or_same(url: str, rows: list[object]) -> bool:
    try:
        return bool(admin.check(url)) or _rows(url) == rows
    except QcgenError:
        return True
