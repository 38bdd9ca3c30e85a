"""What the two databases do differently, as one role; `sqlite.py` and `postgres.py` play it."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from qcgen.core.errors import QcgenError

# Taken in this order, then a shard's row, then "audit" last: any other order could deadlock two PostgreSQL writers.
Lock = Literal["schema", "runs", "review", "audit"]


class Dialect(Protocol):
    """Attributes: `read_options`, `write_options` are engine options for a snapshot to read from and for a writer."""

    read_options: Mapping[str, str]
    write_options: Mapping[str, str]

    def insert_missing(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert the rows that break no unique constraint; the others are there already."""
        ...

    def lock(self, connection: Connection, what: Lock) -> None:
        """Hold every other transaction that wants the same lock off until this one ends."""
        ...

    def set_foreign_keys(self, connection: Connection, *, on: bool) -> None:
        """Switch the enforcement for this connection, as a table rebuild needs it off; call outside a transaction."""
        ...

    def install_triggers(self, connection: Connection) -> None:
        """Create the append-only triggers anew: a batch rebuild of a table drops them without a word."""
        ...

    def schema_problems(self, connection: Connection) -> list[str]:
        """What SQLAlchemy's inspector does not see: triggers, STRICT, WITHOUT ROWID."""
        ...

    def integrity_problems(self, connection: Connection) -> list[str]:
        """What the database's own check finds wrong with its pages and foreign keys."""
        ...

    def translate(self, error: DBAPIError, where: str) -> QcgenError: ...
