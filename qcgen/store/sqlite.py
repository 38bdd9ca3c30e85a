"""SQLite: connection rules, journal mode, triggers, error codes. No other module speaks SQLite's own SQL."""

import importlib
import os
import re
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import ModuleType

from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import IntegrityError as ConstraintError

from qcgen.core.errors import IntegrityError, PausedError, PrerequisiteError, QcgenError, SpecError
from qcgen.store.dialect import Lock
from qcgen.store.schema import metadata

BUSY_TIMEOUT_MS = 30_000

# Only these are trusted with WAL's shared memory and locks; the rest (network, overlay) gets a rollback journal.
LOCAL_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs"})


def _append_only(table: str, key: str) -> dict[str, str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return {
        f"{table}_no_update": f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"{table}_no_delete": f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
        # INSERT OR REPLACE deletes without firing the delete trigger, so the next free number is the only one taken.
        f"{table}_in_order": (
            f"CREATE TRIGGER {table}_in_order BEFORE INSERT ON {table} "
            f"WHEN NEW.{key} <> (SELECT coalesce(max({key}), 0) + 1 FROM {table}) {refuse}"
        ),
    }


TRIGGERS = {
    **_append_only("audit_event", "seq"),
    **_append_only("review_decision", "id"),
    "review_decision_open": (
        "CREATE TRIGGER review_decision_open BEFORE INSERT ON review_decision WHEN NEW.withdraws IS NULL "
        "AND (SELECT state FROM review_task WHERE id = NEW.task_id) <> 'open' "
        "BEGIN SELECT RAISE(ABORT, 'the review task is not open'); END"
    ),
}

# Primary result codes, https://www.sqlite.org/rescode.html
_BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 6, 8, 10, 11, 13, 14, 26


class Sqlite:
    """The `Dialect` of SQLite; a write transaction holds the one write lock from its first statement."""

    read_options: Mapping[str, str] = {"qcgen_begin": "BEGIN"}
    write_options: Mapping[str, str] = {"qcgen_begin": "BEGIN IMMEDIATE"}

    def insert_missing(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        connection.execute(insert(table).on_conflict_do_nothing(), list(rows))

    def lock(self, connection: Connection, what: Lock) -> None:
        """Nothing to do: BEGIN IMMEDIATE holds the only write lock there is."""

    def install_triggers(self, connection: Connection) -> None:
        for name, ddl in TRIGGERS.items():
            connection.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
            connection.execute(text(ddl))

    def schema_problems(self, connection: Connection) -> list[str]:
        query = text("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        stored = {row[0]: row[1] for row in connection.execute(query)}
        problems = [f"trigger {name}: missing or changed" for name, ddl in TRIGGERS.items() if stored.get(name) != ddl]
        flags = {
            name: (bool(strict), bool(without_rowid))
            for _, name, _, _, without_rowid, strict in connection.execute(text("PRAGMA table_list"))
        }
        for table in metadata.tables.values():
            wanted = (True, table.dialect_options["sqlite"]["with_rowid"] is False)
            if flags.get(table.name, wanted) != wanted:
                problems.append(f"table {table.name}: STRICT, WITHOUT ROWID are {flags[table.name]}, want {wanted}")
        return problems

    def set_foreign_keys(self, connection: Connection, *, on: bool) -> None:
        # Below SQLAlchemy, which would open a transaction first.
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA foreign_keys = {'ON' if on else 'OFF'}")
        cursor.close()

    def integrity_problems(self, connection: Connection) -> list[str]:
        pages = [row[0] for row in connection.execute(text("PRAGMA integrity_check")) if row[0] != "ok"]
        keys = [
            f"table {row[0]}: row {row[1]} points at no row of {row[2]}"
            for row in connection.execute(text("PRAGMA foreign_key_check"))
        ]
        return [*pages, *keys]

    def translate(self, error: DBAPIError, where: str) -> QcgenError:
        if isinstance(error, ConstraintError):
            return IntegrityError(f"{where}: {error.orig}: the rows contradict what is stored.")
        return translate(error.orig, where)


def translate(error: BaseException | None, where: str) -> QcgenError:
    """Our error for one of the driver's, by SQLite's primary result code."""
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    told = f"{where}: {error}"
    if code == _FULL:
        return PausedError(f"{told}. Nothing of this step was stored. Cure: free space on that disk, then start again.")
    if code == _IOERR:
        return PausedError(
            f"{told}. Nothing of this step was stored. Cure: check the disk, run `qcgen db check`, then start again."
        )
    if code in (_BUSY, _LOCKED):
        return PausedError(
            f"{told} for {BUSY_TIMEOUT_MS // 1000} s. Cure: end the process that holds it, then start again."
        )
    if code == _NOTADB:
        return IntegrityError(f"{told}. Cure: name another file with --db, or `qcgen db restore` a backup.")
    if code == _CORRUPT:
        return IntegrityError(f"{told}. Cure: `qcgen db restore` a backup.")
    if code in (_READONLY, _CANTOPEN):
        return SpecError(f"{told}. Cure: make the file and its folder writable, or name another with --db.")
    return IntegrityError(f"{told}. Cure: run `qcgen db check`.")


def prepare(connection: DBAPIConnection, *, journal: str) -> None:
    """Set a new connection's rules; `journal` is WAL or TRUNCATE."""
    # Python's own transaction handling opens deferred transactions; the engine's begin event opens them instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "foreign_keys = ON",
        "recursive_triggers = ON",
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "synchronous = FULL",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    _set_journal(connection, journal)
    cursor.close()


def _set_journal(connection: DBAPIConnection, journal: str) -> None:
    # Leaving or entering WAL needs the file alone, and SQLite does not wait for that by itself.
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        cursor = connection.cursor()
        try:
            found = str(cursor.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0])
        except Exception as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != _BUSY:
                raise
            found = "locked"
        finally:
            cursor.close()
        if found.upper() in (journal, "MEMORY"):
            return
        if time.monotonic() > deadline:
            raise PrerequisiteError(
                f"the database stays in journal mode {found}, want {journal}. Cure: end other processes that use it."
            )
        time.sleep(0.01)


def choose_module() -> ModuleType:
    """Python's own SQLite, or `pysqlite3` where that one is installed and free of the WAL-reset bug and ours is not."""
    if wal_is_safe(sqlite3.sqlite_version_info):
        return sqlite3
    try:
        newer = importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return sqlite3
    return newer if wal_is_safe(newer.sqlite_version_info) else sqlite3


def choose_journal(version: tuple[int, ...], file_system: str | None) -> str:
    """WAL where this SQLite and this file system can be trusted with it, else a rollback journal that is truncated."""
    return "WAL" if wal_is_safe(version) and file_system in LOCAL_FILE_SYSTEMS else "TRUNCATE"


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite has the fix of the WAL-reset corruption: 3.51.3, or the back-ports 3.44.6 and 3.50.7."""
    return version >= (3, 51, 3) or (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)


def file_system_of(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds `path`, read from the text of /proc/mounts; None when it names none."""
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        parts = line.split()
        if len(parts) < 3:
            continue
        # A later mount over the same folder hides the earlier one, hence >=.
        folder = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), parts[1]))
        if path.is_relative_to(folder) and (best is None or len(folder.parts) >= best[0]):
            best = (len(folder.parts), parts[2])
    return best[1] if best else None


def copy_file(source: Path, target: Path) -> None:
    """Copy a database that others may be writing to; `target` appears whole and checked, or not at all."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        overwrite_file(source, part)
        _check_copy(part, source)
        _sync(part)
        part.rename(target)
        _sync(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def overwrite_file(source: Path, target: Path) -> None:
    """Put the content of `source` into the database `target`, in one transaction, even while others have it open."""
    module = choose_module()
    wait_s = BUSY_TIMEOUT_MS / 1000
    try:
        with (
            closing(module.connect(source.as_uri() + "?mode=ro", uri=True, timeout=wait_s)) as reader,
            closing(module.connect(target, timeout=wait_s)) as writer,
        ):
            reader.backup(writer)
    except module.Error as error:
        raise translate(error, f"{source} to {target}") from error


def _check_copy(copy: Path, source: Path) -> None:
    module = choose_module()
    try:
        with closing(module.connect(copy)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except (module.Error, UnicodeDecodeError) as error:
        verdict = str(error)
    if verdict != "ok":
        raise IntegrityError(f"{source}: damaged, so not copied ({verdict}). Cure: `qcgen db restore` an older backup.")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
