"""PostgreSQL: advisory locks, append-only triggers, error codes. No other module speaks PostgreSQL's own SQL."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from qcgen.core.errors import IntegrityError, PausedError, PrerequisiteError, QcgenError, SpecError
from qcgen.store.dialect import Lock

# Any numbers that nothing else in the same database uses.
_LOCKS: Mapping[Lock, int] = {"schema": 7_163_001, "runs": 7_163_002, "audit": 7_163_003, "review": 7_163_004}

_FUNCTIONS = (
    """CREATE OR REPLACE FUNCTION qcgen_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation'; END $$""",
    """CREATE OR REPLACE FUNCTION qcgen_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM audit_event) THEN
            RAISE EXCEPTION 'audit_event is append-only' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$""",
    """CREATE OR REPLACE FUNCTION qcgen_decision_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.id <> (SELECT coalesce(max(id), 0) + 1 FROM review_decision) THEN
            RAISE EXCEPTION 'review_decision is append-only' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.withdraws IS NULL AND (SELECT state FROM review_task WHERE id = NEW.task_id) <> 'open' THEN
            RAISE EXCEPTION 'the review task is not open' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$""",
)
TRIGGERS = {
    f"{table}_{name}": (table, change, level, function)
    for table, in_order in (("audit_event", "qcgen_in_order"), ("review_decision", "qcgen_decision_in_order"))
    for name, change, level, function in (
        ("no_change", "UPDATE OR DELETE", "ROW", "qcgen_refuse_change"),
        ("no_truncate", "TRUNCATE", "STATEMENT", "qcgen_refuse_change"),
        ("in_order", "INSERT", "ROW", in_order),
    )
}


class Postgres:
    """The `Dialect` of PostgreSQL; a reader sees one snapshot, a writer locks what it changes."""

    read_options: Mapping[str, str] = {"isolation_level": "REPEATABLE READ"}
    write_options: Mapping[str, str] = {"isolation_level": "READ COMMITTED"}

    def insert_missing(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        connection.execute(insert(table).on_conflict_do_nothing(), list(rows))

    def lock(self, connection: Connection, what: Lock) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCKS[what]})

    def install_triggers(self, connection: Connection) -> None:
        for function in _FUNCTIONS:
            connection.execute(text(function))
        for name, (table, change, level, function) in TRIGGERS.items():
            ddl = f"BEFORE {change} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}()"
            connection.execute(text(f"CREATE OR REPLACE TRIGGER {name} {ddl}"))

    def schema_problems(self, connection: Connection) -> list[str]:
        # 'O' fires for every ordinary session; a superuser can set 'D', which switches the trigger off.
        stored = connection.execute(
            text(
                "SELECT tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
                "WHERE tgrelid IN (to_regclass('audit_event'), to_regclass('review_decision')) "
                "AND NOT tgisinternal AND tgenabled IN ('O', 'A')"
            )
        )
        found = {(row[0], row[1]) for row in stored}
        return [
            f"trigger {name}: missing or switched off"
            for name, (table, *_) in TRIGGERS.items()
            if (name, table) not in found
        ]

    def set_foreign_keys(self, connection: Connection, *, on: bool) -> None:
        """Nothing to do: ALTER TABLE needs no rebuild here."""

    def integrity_problems(self, connection: Connection) -> list[str]:
        """None: the server checks its pages itself (initdb --data-checksums) and keeps foreign keys true."""
        return []

    def translate(self, error: DBAPIError, where: str) -> QcgenError:
        state = getattr(error.orig, "sqlstate", None)
        told = f"{where}: {str(error.orig).strip()}"
        if state == "53100":
            return PausedError(
                f"{told}. Nothing of this step was stored. Cure: free space on the server's disk, then start again."
            )
        if state is not None and (state[:2] in ("08", "40", "53", "57", "58") or state == "55P03"):
            return PausedError(
                f"{told}. Nothing of this step was stored. Cure: check the server, then start the same command again."
            )
        if state is not None and state[:2] in ("28", "3D"):
            return SpecError(f"{told}. Cure: correct user, password or database name in --db.")
        if state == "42501":
            return SpecError(f"{told}. Cure: grant this user the right to create and write tables there.")
        if state is None and error.connection_invalidated:
            return PausedError(
                f"{told}. The connection broke; nothing of this step was stored. Cure: start the same command again."
            )
        if state is None:
            return PrerequisiteError(f"{told}. Cure: start the server, or correct --db.")
        return IntegrityError(f"{told}: the rows contradict what is stored.")
