"""Look after a database: upgrade, check, back up, restore."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, distinct, func, select
from sqlalchemy.engine import URL

from qcgen.core.errors import IntegrityError, SpecError
from qcgen.core.types import Finding, Severity
from qcgen.core.wording import several
from qcgen.store import audit, tasks
from qcgen.store.engine import Database, open_database
from qcgen.store.migrate import ensure_current, revision, schema_problems
from qcgen.store.schema import HEAD, attempt, item, run, shard
from qcgen.store.sqlite import copy_file, overwrite_file


def upgrade(url: str) -> str:
    """Make or upgrade the tables; returns the revision they now have."""
    with _opened(url, create=True) as database:
        ensure_current(database)
    return HEAD


def check(url: str) -> tuple[Finding, ...]:
    """Pages, foreign keys, tables, triggers, counts and the audit chain; empty when all is well.

    Raises:
        SpecError: no such database, or one of a newer qcgen.
        IntegrityError: too damaged to be read at all.
    """
    with _opened(url, create=False) as database, database.read() as connection:
        found = [_finding("database.pages", problem) for problem in database.dialect.integrity_problems(connection)]
        number = revision(connection, database.where)
        if number is None:
            return (*found, _finding("database.schema", "it holds no tables yet"))
        if number == HEAD:
            found += [_finding("database.schema", problem) for problem in schema_problems(database, connection)]
        found += [_finding("database.rows", problem) for problem in _row_problems(connection)]
        if number == HEAD:
            found += [_finding("database.rows", problem) for problem in tasks.problems(connection)]
        found += [_finding("audit.chain", problem) for problem in audit.problems(connection)]
    return tuple(found)


def backup(url: str, path: Path) -> Path:
    """Copy a SQLite database, also while a run writes to it; `path` must not exist."""
    with _opened(url, create=False) as database:
        source = _sqlite_file(database, "pg_dump --format=custom --file=BACKUP")
        if path.exists():
            raise SpecError(f"{path} exists already. Cure: name another file, or remove it.")
        if not path.absolute().parent.is_dir():
            raise SpecError(f"the folder {path.parent} does not exist. Cure: mkdir -p {path.parent}")
        copy_file(source, path.absolute())
    return path


def restore(url: str, path: Path) -> Path | None:
    """Put a backup back, after checking it; returns where the former content was kept, None when there was none.

    Raises:
        SpecError: no such backup, or one of a newer qcgen.
        IntegrityError: the backup is damaged; the database was not touched.
    """
    with _opened(url, create=True) as database:
        target = _sqlite_file(database, "pg_restore --clean --dbname=NAME BACKUP")
        if not path.is_file():
            raise SpecError(f"there is no backup at {path}. Cure: name an existing file.")
        trial = target.with_name(target.name + ".restoring")
        try:
            # A copy, since opening a database may write to it.
            copy_file(path.absolute(), trial)
            found = check(URL.create("sqlite", database=str(trial)).render_as_string())
            if found:
                raise IntegrityError(
                    f"{path}: {'; '.join(each.message for each in found)}. Cure: restore another backup."
                )
            if not target.exists():
                trial.rename(target)
                return None
            return _replace(trial, target)
        finally:
            trial.unlink(missing_ok=True)


def _replace(trial: Path, target: Path) -> Path:
    kept = _unused(target, "before-restore")
    try:
        copy_file(target, kept)
    except IntegrityError:
        # SQLite cannot write into what it cannot read.
        damaged = target.rename(_unused(target, "damaged"))
        trial.rename(target)
        return damaged
    overwrite_file(trial, target)
    return kept


def _unused(target: Path, ending: str) -> Path:
    number = 1
    while (path := target.with_name(f"{target.name}.{ending}-{number}")).exists():
        number += 1
    return path


@contextmanager
def _opened(url: str, *, create: bool) -> Iterator[Database]:
    database = open_database(url, create=create)
    try:
        yield database
    finally:
        database.engine.dispose()


def _sqlite_file(database: Database, command: str) -> Path:
    if database.file is None:
        raise SpecError(f"--db: {database.where} is not a file. Cure: for PostgreSQL run `{command}`.")
    return database.file


def _row_problems(connection: Connection) -> list[str]:
    """What no constraint can say: a done shard has all its items, and one attempt stands at each."""
    counts = (
        select(
            run.c.id,
            shard.c.number,
            (shard.c.stop - shard.c.start).label("planned"),
            func.count(distinct(item.c.item_index)),
            func.count(attempt.c.id),
        )
        .join(run, run.c.seq == shard.c.run_seq)
        .outerjoin(item, (item.c.run_seq == shard.c.run_seq) & (item.c.shard == shard.c.number))
        .outerjoin(
            attempt,
            (attempt.c.run_seq == item.c.run_seq)
            & (attempt.c.item_index == item.c.item_index)
            & (attempt.c.current == 1),
        )
        .where(shard.c.state == "done")
        .group_by(run.c.id, shard.c.number, shard.c.stop, shard.c.start)
    )
    return [
        f"run {run_id}: shard {number} is done with {several(items, 'item')} and "
        f"{several(standing, 'standing attempt')}, planned {planned}"
        for run_id, number, planned, items, standing in connection.execute(counts)
        if (items, standing) != (planned, planned)
    ]


def _finding(kind: str, message: str) -> Finding:
    return Finding(kind=kind, severity=Severity.BLOCK, message=message)
