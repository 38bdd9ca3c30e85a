"""The review desk's tables. What people say is appended and never changed; tasks are what moves.

`review_task.revision` counts every change of a task, so that an answer to an older state of it is refused.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from qcgen.store.schema import FINITE, INTEGER, NUMBER, metadata

TABLES = metadata
"""Every table of the database, these included."""

review_task = Table(
    "review_task",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("run_seq", INTEGER, ForeignKey("run.seq"), nullable=False),
    Column("image_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("stratum", Text, nullable=False),
    Column("inclusion_p", NUMBER, nullable=False),
    Column("cost", NUMBER, nullable=False),
    Column("code", Text, nullable=False),
    Column("relpath", Text, nullable=False),
    Column("file_sha256", Text, nullable=False),
    Column("source_id", Text),
    Column("state", Text, nullable=False),
    Column("revision", INTEGER, nullable=False),
    Column("lease_by", Text),
    Column("lease_until", NUMBER),
    UniqueConstraint("run_seq", "image_id", "kind"),
    CheckConstraint("kind IN ('flagged', 'audit', 'seed', 'double', 'dispute')", name="kind"),
    CheckConstraint("state IN ('open', 'done', 'cancelled')", name="state"),
    CheckConstraint("inclusion_p > 0 AND inclusion_p <= 1", name="inclusion_p"),
    CheckConstraint(FINITE.format("cost"), name="cost"),
    CheckConstraint("(lease_by IS NULL) = (lease_until IS NULL)", name="lease"),
    CheckConstraint("lease_by IS NULL OR state = 'open'", name="lease_open"),
    CheckConstraint("(kind = 'seed') = (source_id IS NOT NULL)", name="seed"),
    sqlite_strict=True,
)
# Literal, here and in every query: SQLite uses a partial index only where it can read the condition.
OPEN = text("state = 'open'")
for _name, _columns in {
    "run": ("run_seq", "cost", "id"),
    "all": ("cost", "id"),
    "kind": ("run_seq", "kind", "cost", "id"),
    "code": ("run_seq", "code", "cost", "id"),
}.items():
    Index(
        f"ix_review_task_queue_{_name}",
        *(review_task.c[column] for column in _columns),
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
HELD = text("lease_by IS NOT NULL")
Index("ix_review_task_held", review_task.c.lease_by, sqlite_where=HELD, postgresql_where=HELD)
Index("ix_review_task_page", review_task.c.run_seq, review_task.c.id)
Index("ix_review_task_page_kind", review_task.c.run_seq, review_task.c.state, review_task.c.kind, review_task.c.id)
Index("ix_review_task_page_code", review_task.c.run_seq, review_task.c.state, review_task.c.code, review_task.c.id)

# Counts that every screen shows; counting a million tasks for each of them would take a second.
review_progress = Table(
    "review_progress",
    metadata,
    Column("run_seq", INTEGER, ForeignKey("run.seq"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("total", INTEGER, nullable=False),
    Column("done", INTEGER, nullable=False),
    CheckConstraint("done >= 0 AND done <= total", name="done"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Append-only: an answer that is taken back stays, and a row that names it in `withdraws` follows.
review_decision = Table(
    "review_decision",
    metadata,
    Column("id", INTEGER, primary_key=True, autoincrement=False),
    Column("task_id", INTEGER, ForeignKey("review_task.id"), nullable=False, index=True),
    Column("run_seq", INTEGER, ForeignKey("run.seq"), nullable=False),
    Column("image_id", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("revision", INTEGER, nullable=False),
    Column("image_sha256", Text, nullable=False),
    Column("choice", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("dwell_ms", INTEGER, nullable=False),
    Column("blind", INTEGER, nullable=False),
    Column("bulk_id", Text),
    Column("ui", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("withdraws", INTEGER, ForeignKey("review_decision.id"), unique=True),
    CheckConstraint("choice IN ('accept', 'reject', 'regenerate', 'skip')", name="choice"),
    CheckConstraint("blind IN (0, 1)", name="blind"),
    CheckConstraint("dwell_ms >= 0", name="dwell_ms"),
    sqlite_strict=True,
)
Index("ix_review_decision_picture", review_decision.c.run_seq, review_decision.c.image_id, review_decision.c.reviewer)
Index("ix_review_decision_reviewer", review_decision.c.reviewer, review_decision.c.id)
Index("ix_review_decision_run", review_decision.c.run_seq, review_decision.c.id)

# Which attempt was made because a person asked for another one; goes with the attempt, so that a lost one is made anew.
review_regeneration = Table(
    "review_regeneration",
    metadata,
    Column("decision_id", INTEGER, ForeignKey("review_decision.id"), primary_key=True, autoincrement=False),
    Column("run_seq", INTEGER, nullable=False),
    Column("item_index", INTEGER, nullable=False),
    Column("attempt", INTEGER, nullable=False),
    ForeignKeyConstraint(
        ["run_seq", "item_index", "attempt"],
        ["attempt.run_seq", "attempt.item_index", "attempt.attempt"],
        ondelete="CASCADE",
    ),
    sqlite_strict=True,
)
Index(
    "ix_review_regeneration_attempt",
    review_regeneration.c.run_seq,
    review_regeneration.c.item_index,
    review_regeneration.c.attempt,
)

review_user = Table(
    "review_user",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("password", Text),
    Column("active", INTEGER, nullable=False),
    CheckConstraint("role IN ('reviewer', 'adjudicator', 'manager')", name="role"),
    CheckConstraint("active IN (0, 1)", name="active"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

review_session = Table(
    "review_session",
    metadata,
    Column("token_sha256", Text, primary_key=True),
    Column("user_name", Text, ForeignKey("review_user.name"), nullable=False, index=True),
    Column("valid_until", NUMBER, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
