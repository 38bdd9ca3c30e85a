"""How a database is opened: which URLs are taken, by which rules SQLite runs, what its errors become."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, text

from qcgen.core.errors import IntegrityError, PausedError, PrerequisiteError, SpecError
from qcgen.store import sqlite
from qcgen.store.engine import open_database
from qcgen.store.sql import open_store
from tests.store.build import run_info, shards, whole_shard


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 7, 0), False),
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 44, 7), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 0), False),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_wal_is_used_only_where_its_reset_bug_is_fixed(version: tuple[int, ...], safe: bool) -> None:
    assert sqlite.wal_is_safe(version) is safe
    assert sqlite.choose_journal(version, "ext4") == ("WAL" if safe else "TRUNCATE")


@pytest.mark.parametrize("file_system", ["nfs4", "cifs", "overlay", "fuse.sshfs", "9p", None])
def test_wal_is_not_used_on_a_file_system_that_may_be_remote(file_system: str | None) -> None:
    assert sqlite.choose_journal((3, 53, 4), file_system) == "TRUNCATE"


MOUNTS = """\
overlay / overlay rw,relatime 0 0
/dev/vda /data ext4 rw 0 0
server:/export /data/shared nfs4 rw 0 0
/dev/vdb /data/with\\040space xfs rw 0 0
tmpfs /twice tmpfs rw 0 0
//nas/share /twice cifs rw 0 0
broken-line
"""


@pytest.mark.parametrize(
    ("path", "file_system"),
    [
        ("/home/a/qcgen.db", "overlay"),
        ("/data/qcgen.db", "ext4"),
        ("/data/shared/qcgen.db", "nfs4"),
        ("/data/shared-not/qcgen.db", "ext4"),
        ("/data/with space/qcgen.db", "xfs"),
        ("/twice/qcgen.db", "cifs"),
    ],
)
def test_the_file_system_is_that_of_the_deepest_mount(path: str, file_system: str) -> None:
    assert sqlite.file_system_of(Path(path), MOUNTS) == file_system


def test_no_mount_table_names_no_file_system() -> None:
    assert sqlite.file_system_of(Path("/a"), "") is None


def test_every_connection_has_the_rules(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    expected = {
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "synchronous": 2,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "recursive_triggers": 1,
        "journal_mode": "wal" if sqlite.wal_is_safe(sqlite.choose_module().sqlite_version_info) else "truncate",
    }
    with database.read() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in expected}
    database.engine.dispose()
    assert found == expected


def test_a_writer_takes_the_lock_before_its_first_statement(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    statements: list[str] = []
    event.listen(store.database.engine, "before_cursor_execute", lambda c, cursor, text, *rest: statements.append(text))
    store.audit("run-1", "note", {})
    store.runs()
    store.close()
    assert statements[0] == "BEGIN IMMEDIATE"
    assert [text for text in statements if text.startswith("BEGIN")] == ["BEGIN IMMEDIATE", "BEGIN"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("qcgen.db", "not a database URL"),
        ("mysql://localhost/qcgen", "must be sqlite or postgresql"),
        ("sqlite+aiosqlite:///qcgen.db", "must be sqlite or postgresql"),
        ("sqlite:///file:qcgen.db?mode=ro", "file: addresses"),
        ("sqlite:////proc/nowhere/qcgen.db", "the folder /proc/nowhere does not exist"),
        ("sqlite:////proc", "is a folder"),
    ],
)
def test_a_wrong_address_is_a_users_mistake(url: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        open_store(url)


def test_a_missing_file_is_not_made_for_a_reader(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no database at"):
        open_store(f"sqlite:///{tmp_path / 'absent.db'}", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_a_missing_prerequisite(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(PrerequisiteError, match="start the server"):
        open_store(f"postgresql://qcgen:hunter2@/qcgen?host={tmp_path}")


def test_a_password_is_not_told(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(PrerequisiteError) as caught:
        open_store(f"postgresql://qcgen:hunter2@/qcgen?host={tmp_path}")
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a database, but long enough to be read as one's header: " + "x" * 100)
    before = file.read_bytes()
    with pytest.raises(IntegrityError, match="not a database"):
        open_store(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_two_processes_that_make_the_tables_at_once_both_succeed(url: str) -> None:
    errors: list[BaseException] = []

    def make() -> None:
        try:
            open_store(url).close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_threads_that_share_a_database_in_memory_take_turns() -> None:
    store = open_store("sqlite://")
    store.start_run(run_info(planned=40), shards(40, 4))

    def work() -> None:
        while (leased := store.lease("run-1", "me", seconds=60)) is not None:
            assert store.record("run-1", *leased, whole_shard(leased[0]))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(store.rows("run-1"))) == 40
    store.close()


def test_a_database_that_stays_locked_pauses_the_run(sqlite_url: str, tmp_path: Path) -> None:
    store = open_store(sqlite_url)
    with store.database.engine.connect() as connection:
        # The pool has this one connection; 30 s would only make the test slow.
        connection.connection.cursor().execute("PRAGMA busy_timeout = 50").close()
    other = sqlite3.connect(tmp_path / "qcgen.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(PausedError, match="locked"):
        store.audit("run-1", "note", {})
    other.execute("ROLLBACK")
    other.close()
    store.audit("run-1", "note", {})
    store.close()
