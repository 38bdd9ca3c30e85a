"""The one way to an engine: URL in, connection rules and transactions by `review-governance` 8.1 out."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from qcgen.core.errors import IntegrityError, PrerequisiteError, SpecError
from qcgen.store import sqlite
from qcgen.store.dialect import Dialect
from qcgen.store.postgres import Postgres
from qcgen.store.sqlite import Sqlite

DEFAULT_URL = "sqlite:///qcgen.db"


@dataclass(frozen=True, slots=True)
class Database:
    """An engine with its dialect.

    Attributes:
        where: the database as messages name it, without its password.
        file: the SQLite file; None in memory and on a server.
        lock: held by every transaction; writing: by those that write.
    """

    engine: Engine
    dialect: Dialect
    where: str
    file: Path | None
    lock: AbstractContextManager[object]
    writing: AbstractContextManager[object] = field(default_factory=nullcontext)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot. Keep it short: with a rollback journal a reader holds every writer off."""
        with (
            self.lock,
            self.translated(),
            self.engine.execution_options(**self.dialect.read_options).begin() as connection,
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that commits at the end of the block, or leaves nothing behind."""
        with (
            self.lock,
            self.writing,
            self.translated(),
            self.engine.execution_options(**self.dialect.write_options).begin() as connection,
        ):
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's errors into ours."""
        try:
            yield
        except DBAPIError as error:
            raise self.dialect.translate(error, self.where) from error
        except UnicodeDecodeError as error:
            # Python's SQLite driver says so of a damaged table name, before it says that the file is damaged.
            raise IntegrityError(f"{self.where}: damaged ({error}). Cure: `qcgen db restore` a backup.") from error


def open_database(url: str, *, create: bool = True) -> Database:
    """Check the URL and make its engine; nothing is read or written yet.

    Raises:
        SpecError: the URL, its folder or (unless `create`) its file is wrong.
        PrerequisiteError: the PostgreSQL driver is not installed.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "postgresql":
        return Database(
            engine=_postgres_engine(parsed),
            dialect=Postgres(),
            where=parsed.render_as_string(hide_password=True),
            file=None,
            lock=nullcontext(),
        )
    file = _sqlite_file(parsed)
    if file is not None:
        _check_file(file, create=create)
    # In memory every thread shares one connection, so that their transactions must take turns.
    lock: AbstractContextManager[object] = RLock() if file is None else nullcontext()
    return Database(
        engine=_sqlite_engine(parsed, file),
        dialect=Sqlite(),
        where=str(file or ":memory:"),
        file=file,
        lock=lock,
        writing=nullcontext() if file is None else _writing(file),
    )


_WRITERS: dict[Path, AbstractContextManager[object]] = {}


def _writing(file: Path) -> AbstractContextManager[object]:
    """One lock a file and process. SQLite's own waiting is a poll that sleeps longer and longer, in no order: of many
    threads that write, one may starve for seconds."""
    return _WRITERS.setdefault(file.resolve(), RLock())


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SpecError(
            f"--db: not a database URL (got {url!r}). Cure: {DEFAULT_URL} or postgresql+psycopg://user@host/name."
        ) from error
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise SpecError(f"--db: must be sqlite or postgresql+psycopg (got {parsed.drivername}). Cure: {DEFAULT_URL}.")
    return parsed


def _sqlite_file(url: URL) -> Path | None:
    name = url.database
    if name is None or name in ("", ":memory:"):
        return None
    if name.startswith("file:"):
        raise SpecError(f"--db: SQLite's file: addresses are not taken (got {name}). Cure: sqlite:///FOLDER/NAME.db.")
    return Path(name).absolute()


def _check_file(file: Path, *, create: bool) -> None:
    if not file.parent.is_dir():
        raise SpecError(f"--db: the folder {file.parent} does not exist. Cure: mkdir -p {file.parent}")
    if file.is_dir():
        raise SpecError(f"--db: {file} is a folder, want a file. Cure: name a file in it, such as {file / 'qcgen.db'}.")
    if not create and not file.exists():
        raise SpecError(f"--db: there is no database at {file}. Cure: name an existing one; `qcgen run` makes it.")


def _sqlite_engine(url: URL, file: Path | None) -> Engine:
    module = sqlite.choose_module()
    journal = "TRUNCATE"
    if file is None:
        engine = create_engine(
            "sqlite://",
            module=module,
            hide_parameters=True,
            poolclass=StaticPool,
            connect_args={"check_same_thread": False},
        )
    else:
        journal = sqlite.choose_journal(tuple(module.sqlite_version_info), _file_system(file))
        engine = create_engine(url.set(database=str(file)), module=module, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        sqlite.prepare(connection, journal=journal)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("qcgen_begin", "BEGIN"))

    return engine


def _file_system(file: Path) -> str | None:
    mounts = Path("/proc/mounts")
    return sqlite.file_system_of(file.resolve(), mounts.read_text(errors="replace")) if mounts.exists() else None


def _postgres_engine(url: URL) -> Engine:
    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except ImportError as error:
        raise PrerequisiteError(
            f"PostgreSQL needs the package psycopg ({error}). Cure: pip install 'psycopg[binary]'"
        ) from error
