"""The first tables.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

revision = "0001"
down_revision = None

INTEGER: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
NUMBER: sa.types.TypeEngine[float] = sa.Double().with_variant(sa.REAL(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column("seq", INTEGER, autoincrement=False, nullable=False),
        sa.Column("ts", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_event")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_event_hash")),
        sa.UniqueConstraint("prev_hash", name=op.f("uq_audit_event_prev_hash")),
        sqlite_strict=True,
    )
    op.create_table(
        "licence",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_licence")),
        sa.UniqueConstraint("name", name=op.f("uq_licence_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "metric_def",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("detector", sa.Text(), nullable=False),
        sa.Column("version", INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metric_def")),
        sa.UniqueConstraint("detector", "version", name=op.f("uq_metric_def_detector_version")),
        sqlite_strict=True,
    )
    op.create_table(
        "policy",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy")),
        sa.UniqueConstraint("sha256", name=op.f("uq_policy_sha256")),
        sqlite_strict=True,
    )
    op.create_table(
        "prompt",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt")),
        sa.UniqueConstraint("sha256", name=op.f("uq_prompt_sha256")),
        sqlite_strict=True,
    )
    op.create_table(
        "model",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("licence_id", INTEGER, nullable=True),
        sa.Column("declared", INTEGER, nullable=False),
        sa.CheckConstraint("declared IN (0, 1)", name=op.f("ck_model_declared")),
        sa.ForeignKeyConstraint(["licence_id"], ["licence.id"], name=op.f("fk_model_licence")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model")),
        sa.UniqueConstraint("digest", name=op.f("uq_model_digest")),
        sqlite_strict=True,
    )
    op.create_table(
        "model_lineage",
        sa.Column("model_id", INTEGER, nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.Column("licence_id", INTEGER, nullable=False),
        sa.ForeignKeyConstraint(["licence_id"], ["licence.id"], name=op.f("fk_model_lineage_licence")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_model_lineage_model"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "relation", "parent", name=op.f("pk_model_lineage")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run",
        sa.Column("seq", INTEGER, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("job_path", sa.Text(), nullable=False),
        sa.Column("spec_sha256", sa.Text(), nullable=False),
        sa.Column("spec_json", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_id", INTEGER, nullable=False),
        sa.Column("policy_id", INTEGER, nullable=False),
        sa.Column("planned", INTEGER, nullable=False),
        sa.Column("out_dir", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.Text(), nullable=True),
        sa.Column("seconds", NUMBER, nullable=False),
        sa.Column("seconds_by_stage", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("gates", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=True),
        sa.CheckConstraint("planned >= 0", name=op.f("ck_run_planned")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_run_model")),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"], name=op.f("fk_run_policy")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_run")),
        sa.UniqueConstraint("id", name=op.f("uq_run_id")),
        sqlite_strict=True,
    )
    op.create_index("ix_run_name", "run", ["name"], unique=False)
    op.create_table(
        "shard",
        sa.Column("run_seq", INTEGER, nullable=False),
        sa.Column("number", INTEGER, nullable=False),
        sa.Column("start", INTEGER, nullable=False),
        sa.Column("stop", INTEGER, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", INTEGER, nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", NUMBER, nullable=True),
        sa.Column("files_sha256", sa.Text(), nullable=True),
        sa.CheckConstraint("(state = 'done') = (files_sha256 IS NOT NULL)", name=op.f("ck_shard_done")),
        sa.CheckConstraint("(state = 'leased') = (lease_until IS NOT NULL)", name=op.f("ck_shard_lease")),
        sa.CheckConstraint("state IN ('open', 'leased', 'done')", name=op.f("ck_shard_state")),
        sa.CheckConstraint("start >= 0 AND stop > start", name=op.f("ck_shard_range")),
        sa.ForeignKeyConstraint(["run_seq"], ["run.seq"], name=op.f("fk_shard_run")),
        sa.PrimaryKeyConstraint("run_seq", "number", name=op.f("pk_shard")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "item",
        sa.Column("run_seq", INTEGER, nullable=False),
        sa.Column("item_index", INTEGER, nullable=False),
        sa.Column("shard", INTEGER, nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("prompt_id", INTEGER, nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompt.id"], name=op.f("fk_item_prompt")),
        sa.ForeignKeyConstraint(["run_seq", "shard"], ["shard.run_seq", "shard.number"], name=op.f("fk_item_shard")),
        sa.PrimaryKeyConstraint("run_seq", "item_index", name=op.f("pk_item")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attempt",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_seq", INTEGER, nullable=False),
        sa.Column("item_index", INTEGER, nullable=False),
        sa.Column("attempt", INTEGER, nullable=False),
        sa.Column("current", INTEGER, nullable=False),
        sa.Column("verdict", INTEGER, nullable=False),
        sa.Column("image_id", sa.Text(), nullable=False),
        sa.Column("seed", INTEGER, nullable=False),
        sa.Column("size_px", INTEGER, nullable=False),
        sa.Column("gen_s", NUMBER, nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("relpath", sa.Text(), nullable=True),
        sa.Column("file_sha256", sa.Text(), nullable=True),
        sa.Column("bytes", INTEGER, nullable=False),
        sa.Column("width", INTEGER, nullable=False),
        sa.Column("height", INTEGER, nullable=False),
        sa.Column("phash", sa.Text(), nullable=True),
        sa.CheckConstraint("(relpath IS NULL) = (file_sha256 IS NULL)", name=op.f("ck_attempt_image")),
        sa.CheckConstraint("attempt >= 1", name=op.f("ck_attempt_attempt")),
        sa.CheckConstraint("current IN (0, 1)", name=op.f("ck_attempt_current")),
        sa.CheckConstraint(
            "gen_s BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308", name=op.f("ck_attempt_gen_s")
        ),
        sa.ForeignKeyConstraint(
            ["run_seq", "item_index"],
            ["item.run_seq", "item.item_index"],
            name=op.f("fk_attempt_item"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("run_seq", "image_id", name=op.f("uq_attempt_run_seq_image_id")),
        sa.UniqueConstraint("run_seq", "item_index", "attempt", name=op.f("uq_attempt_run_seq_item_index_attempt")),
        sqlite_strict=True,
    )
    op.create_index("ix_attempt_file_sha256", "attempt", ["file_sha256"], unique=False)
    op.create_index(
        "ux_attempt_current",
        "attempt",
        ["run_seq", "item_index"],
        unique=True,
        sqlite_where=sa.text("current = 1"),
        postgresql_where=sa.text("current = 1"),
    )
    op.create_table(
        "metric",
        sa.Column("attempt_id", INTEGER, nullable=False),
        sa.Column("metric_id", INTEGER, nullable=False),
        sa.Column("value", NUMBER, nullable=False),
        sa.CheckConstraint(
            "value BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308", name=op.f("ck_metric_finite")
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_metric_attempt"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["metric_id"], ["metric_def.id"], name=op.f("fk_metric_metric_def")),
        sa.PrimaryKeyConstraint("attempt_id", "metric_id", name=op.f("pk_metric")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "thumbnail",
        sa.Column("attempt_id", INTEGER, autoincrement=False, nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_thumbnail_attempt"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_thumbnail")),
        sqlite_strict=True,
    )
    op.create_table(
        "unscored",
        sa.Column("attempt_id", INTEGER, nullable=False),
        sa.Column("metric_id", INTEGER, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_unscored_attempt"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["metric_id"], ["metric_def.id"], name=op.f("fk_unscored_metric_def")),
        sa.PrimaryKeyConstraint("attempt_id", "metric_id", name=op.f("pk_unscored")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "verdict",
        sa.Column("attempt_id", INTEGER, nullable=False),
        sa.Column("number", INTEGER, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("joint_p", NUMBER, nullable=True),
        sa.Column("policy_id", INTEGER, nullable=False),
        sa.Column("decided_at", sa.Text(), nullable=False),
        sa.CheckConstraint("outcome IN ('accept', 'review', 'reject', 'failed')", name=op.f("ck_verdict_outcome")),
        sa.CheckConstraint("joint_p BETWEEN 0 AND 1", name=op.f("ck_verdict_joint_p")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_verdict_attempt"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"], name=op.f("fk_verdict_policy")),
        sa.PrimaryKeyConstraint("attempt_id", "number", name=op.f("pk_verdict")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "finding",
        sa.Column("attempt_id", INTEGER, nullable=False),
        sa.Column("verdict", INTEGER, nullable=False),
        sa.Column("place", INTEGER, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("value", NUMBER, nullable=True),
        sa.Column("threshold", NUMBER, nullable=True),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.CheckConstraint("severity IN ('block', 'warn', 'info')", name=op.f("ck_finding_severity")),
        sa.ForeignKeyConstraint(
            ["attempt_id", "verdict"],
            ["verdict.attempt_id", "verdict.number"],
            name=op.f("fk_finding_verdict"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attempt_id", "verdict", "place", name=op.f("pk_finding")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
