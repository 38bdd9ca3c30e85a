"""The review desk: tasks, decisions, people, and which attempts people asked for.

Revision: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0003"
down_revision = "0002"

INTEGER: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
NUMBER: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")
OPEN = sa.text("state = 'open'")
HELD = sa.text("lease_by IS NOT NULL")


def upgrade() -> None:
    _make_tasks()
    _make_progress()
    _make_decisions()
    _make_regenerations()
    _make_people()


def _make_tasks() -> None:
    op.create_table(
        "review_task",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_seq", INTEGER, nullable=False),
        sa.Column("image_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("stratum", sa.Text(), nullable=False),
        sa.Column("inclusion_p", NUMBER, nullable=False),
        sa.Column("cost", NUMBER, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("relpath", sa.Text(), nullable=False),
        sa.Column("file_sha256", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("revision", INTEGER, nullable=False),
        sa.Column("lease_by", sa.Text(), nullable=True),
        sa.Column("lease_until", NUMBER, nullable=True),
        sa.CheckConstraint("(kind = 'seed') = (source_id IS NOT NULL)", name=op.f("ck_review_task_seed")),
        sa.CheckConstraint("(lease_by IS NULL) = (lease_until IS NULL)", name=op.f("ck_review_task_lease")),
        sa.CheckConstraint(
            "cost BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308", name=op.f("ck_review_task_cost")
        ),
        sa.CheckConstraint("inclusion_p > 0 AND inclusion_p <= 1", name=op.f("ck_review_task_inclusion_p")),
        sa.CheckConstraint(
            "kind IN ('flagged', 'audit', 'seed', 'double', 'dispute')", name=op.f("ck_review_task_kind")
        ),
        sa.CheckConstraint("lease_by IS NULL OR state = 'open'", name=op.f("ck_review_task_lease_open")),
        sa.CheckConstraint("state IN ('open', 'done', 'cancelled')", name=op.f("ck_review_task_state")),
        sa.ForeignKeyConstraint(["run_seq"], ["run.seq"], name=op.f("fk_review_task_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_task")),
        sa.UniqueConstraint("run_seq", "image_id", "kind", name=op.f("uq_review_task_run_seq_image_id_kind")),
        sqlite_strict=True,
    )
    for name, columns in {
        "run": ["run_seq", "cost", "id"],
        "all": ["cost", "id"],
        "kind": ["run_seq", "kind", "cost", "id"],
        "code": ["run_seq", "code", "cost", "id"],
    }.items():
        index = f"ix_review_task_queue_{name}"
        op.create_index(index, "review_task", columns, unique=False, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index(
        "ix_review_task_held", "review_task", ["lease_by"], unique=False, sqlite_where=HELD, postgresql_where=HELD
    )
    op.create_index("ix_review_task_page", "review_task", ["run_seq", "id"], unique=False)
    for name in ("kind", "code"):
        op.create_index(f"ix_review_task_page_{name}", "review_task", ["run_seq", "state", name, "id"], unique=False)


def _make_progress() -> None:
    op.create_table(
        "review_progress",
        sa.Column("run_seq", INTEGER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("total", INTEGER, nullable=False),
        sa.Column("done", INTEGER, nullable=False),
        sa.CheckConstraint("done >= 0 AND done <= total", name=op.f("ck_review_progress_done")),
        sa.ForeignKeyConstraint(["run_seq"], ["run.seq"], name=op.f("fk_review_progress_run")),
        sa.PrimaryKeyConstraint("run_seq", "kind", "code", name=op.f("pk_review_progress")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _make_decisions() -> None:
    op.create_table(
        "review_decision",
        sa.Column("id", INTEGER, autoincrement=False, nullable=False),
        sa.Column("task_id", INTEGER, nullable=False),
        sa.Column("run_seq", INTEGER, nullable=False),
        sa.Column("image_id", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("revision", INTEGER, nullable=False),
        sa.Column("image_sha256", sa.Text(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("dwell_ms", INTEGER, nullable=False),
        sa.Column("blind", INTEGER, nullable=False),
        sa.Column("bulk_id", sa.Text(), nullable=True),
        sa.Column("ui", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("withdraws", INTEGER, nullable=True),
        sa.CheckConstraint("blind IN (0, 1)", name=op.f("ck_review_decision_blind")),
        sa.CheckConstraint(
            "choice IN ('accept', 'reject', 'regenerate', 'skip')", name=op.f("ck_review_decision_choice")
        ),
        sa.CheckConstraint("dwell_ms >= 0", name=op.f("ck_review_decision_dwell_ms")),
        sa.ForeignKeyConstraint(["run_seq"], ["run.seq"], name=op.f("fk_review_decision_run")),
        sa.ForeignKeyConstraint(["task_id"], ["review_task.id"], name=op.f("fk_review_decision_review_task")),
        sa.ForeignKeyConstraint(["withdraws"], ["review_decision.id"], name=op.f("fk_review_decision_review_decision")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_decision")),
        sa.UniqueConstraint("withdraws", name=op.f("uq_review_decision_withdraws")),
        sqlite_strict=True,
    )
    for name, columns in {
        "picture": ["run_seq", "image_id", "reviewer"],
        "reviewer": ["reviewer", "id"],
        "run": ["run_seq", "id"],
        "task_id": ["task_id"],
    }.items():
        op.create_index(f"ix_review_decision_{name}", "review_decision", columns, unique=False)


def _make_regenerations() -> None:
    op.create_table(
        "review_regeneration",
        sa.Column("decision_id", INTEGER, autoincrement=False, nullable=False),
        sa.Column("run_seq", INTEGER, nullable=False),
        sa.Column("item_index", INTEGER, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["review_decision.id"], name=op.f("fk_review_regeneration_review_decision")
        ),
        sa.ForeignKeyConstraint(
            ["run_seq", "item_index", "attempt"],
            ["attempt.run_seq", "attempt.item_index", "attempt.attempt"],
            name=op.f("fk_review_regeneration_attempt"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_review_regeneration")),
        sqlite_strict=True,
    )
    place = ["run_seq", "item_index", "attempt"]
    op.create_index("ix_review_regeneration_attempt", "review_regeneration", place, unique=False)


def _make_people() -> None:
    op.create_table(
        "review_user",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("active", INTEGER, nullable=False),
        sa.CheckConstraint("active IN (0, 1)", name=op.f("ck_review_user_active")),
        sa.CheckConstraint("role IN ('reviewer', 'adjudicator', 'manager')", name=op.f("ck_review_user_role")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_review_user")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "review_session",
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("valid_until", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["user_name"], ["review_user.name"], name=op.f("fk_review_session_review_user")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_review_session")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_review_session_user_name", "review_session", ["user_name"], unique=False)
