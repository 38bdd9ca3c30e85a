"""Bring a database to this code's schema, or refuse it."""

from pathlib import Path

from sqlalchemy import CheckConstraint, Connection, Inspector, Table, UniqueConstraint, inspect, select, table, text

from qcgen.core.errors import IntegrityError, SpecError
from qcgen.store.engine import Database
from qcgen.store.reviewschema import TABLES
from qcgen.store.schema import HEAD, VERSION_TABLE
from qcgen.store.sqlite import copy_file

MIGRATIONS = Path(__file__).parent / "migrations"


def ensure_current(database: Database, *, migrations: Path = MIGRATIONS, head: str = HEAD) -> str | None:
    """Make or upgrade the tables; returns the revision they had before, None when there were none.

    A SQLite file of an older revision is copied beside itself first.

    Raises:
        SpecError: a newer qcgen wrote it, or another program did.
        IntegrityError: its tables, constraints or triggers are not those of its revision.
    """
    with database.read() as connection:
        before = revision(connection, database.where, head)
        if before == head:
            _refuse_difference(database, connection)
            return before
    if before is not None and database.file is not None:
        copy_file(database.file, database.file.with_name(f"{database.file.name}.before-{head}"))
    writer = database.engine.execution_options(**database.dialect.write_options)
    with database.lock, database.translated(), writer.connect() as connection:
        # Rebuilding a parent table fails while foreign keys are on, and the switch does nothing inside a transaction.
        database.dialect.set_foreign_keys(connection, on=False)
        try:
            with connection.begin():
                _migrate(database, connection, migrations, head)
        finally:
            database.dialect.set_foreign_keys(connection, on=True)
    return before


def schema_problems(database: Database, connection: Connection) -> list[str]:
    """Every difference between the stored tables and `schema.py`, one sentence each."""
    inspector = inspect(connection)
    stored = set(inspector.get_table_names())
    problems: list[str] = []
    for wanted in TABLES.sorted_tables:
        if wanted.name not in stored:
            problems.append(f"table {wanted.name}: missing")
            continue
        has, wants = _stored_shape(inspector, wanted.name, connection), _wanted_shape(wanted, connection)
        problems += [
            f"table {wanted.name}: {part} are {has[part]}, want {wants[part]}"
            for part in wants
            if has[part] != wants[part]
        ]
    return problems + database.dialect.schema_problems(connection)


def revision(connection: Connection, where: str, head: str = HEAD) -> str | None:
    """The schema number in the database, None when it is empty; refuses a newer one and another program's tables."""
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in names:
        strangers = sorted(names)
        if strangers:
            raise SpecError(
                f"--db: {where} belongs to another program (tables {', '.join(strangers[:5])}). Cure: name another."
            )
        return None
    number = connection.execute(select(text("version_num")).select_from(table(VERSION_TABLE))).scalar()
    if number is None:
        raise IntegrityError(
            f"{where}: the revision is missing from {VERSION_TABLE}. Cure: `qcgen db restore` a backup."
        )
    if not number.isdigit() or number > head:
        raise SpecError(
            f"--db: {where} was written by a newer qcgen (schema {number}, this one knows {head}). "
            "Cure: install that version, or `qcgen db restore` a backup made before."
        )
    return str(number)


def _migrate(database: Database, connection: Connection, migrations: Path, head: str) -> None:
    database.dialect.lock(connection, "schema")
    before = revision(connection, database.where, head)
    # Another process may have done it while we waited for the lock.
    if before != head:
        _run_alembic(connection, migrations)
        database.dialect.install_triggers(connection)
    _refuse_difference(database, connection)
    if before is not None:
        _refuse(database, database.dialect.integrity_problems(connection))


def _run_alembic(connection: Connection, migrations: Path) -> None:
    # Half of the time that opening a current database would take, hence not at the top.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _refuse_difference(database: Database, connection: Connection) -> None:
    _refuse(database, schema_problems(database, connection))


def _refuse(database: Database, problems: list[str]) -> None:
    if problems:
        raise IntegrityError(
            f"{database.where}: not the tables of this qcgen: {'; '.join(problems)}. Cure: `qcgen db restore` a backup."
        )


Shape = dict[str, object]


def _stored_shape(inspector: Inspector, name: str, connection: Connection) -> Shape:
    return {
        "columns": {
            column["name"]: (column["type"].compile(connection.dialect), column["nullable"])
            for column in inspector.get_columns(name)
        },
        "primary key": list(inspector.get_pk_constraint(name)["constrained_columns"]),
        "foreign keys": sorted(
            (key["referred_table"], tuple(key["constrained_columns"])) for key in inspector.get_foreign_keys(name)
        ),
        "uniques": sorted(str(unique["name"]) for unique in inspector.get_unique_constraints(name)),
        "checks": sorted(str(check["name"]) for check in inspector.get_check_constraints(name)),
        # PostgreSQL lists the index behind a unique constraint too.
        "indexes": sorted(
            str(index["name"]) for index in inspector.get_indexes(name) if not index.get("duplicates_constraint")
        ),
    }


def _wanted_shape(table: Table, connection: Connection) -> Shape:
    dialect = connection.dialect
    return {
        "columns": {column.name: (column.type.compile(dialect), bool(column.nullable)) for column in table.columns},
        "primary key": [column.name for column in table.primary_key.columns],
        "foreign keys": sorted(
            (key.referred_table.name, tuple(column.name for column in key.columns))
            for key in table.foreign_key_constraints
        ),
        "uniques": _names(table, UniqueConstraint, connection),
        "checks": _names(table, CheckConstraint, connection),
        "indexes": sorted(str(index.name) for index in table.indexes),
    }


def _names(table: Table, kind: type[UniqueConstraint] | type[CheckConstraint], connection: Connection) -> list[str]:
    prepare = connection.dialect.identifier_preparer
    return sorted(
        str(prepare.format_constraint(each)).strip('"') for each in table.constraints if isinstance(each, kind)
    )
