"""The tables. STRICT on SQLite, so only TEXT, INTEGER, REAL and BLOB are used; JSON stays TEXT, in both databases.

A verdict is never changed: `attempt.verdict` points at the one that stands, earlier ones keep their numbers. Times are
UTC text; order comes from `seq` and `number`, never from a clock.
"""

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeEngine

HEAD = "0003"
VERSION_TABLE = "qcgen_schema"

INTEGER: TypeEngine[int] = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
# Plain REAL would be 4 bytes wide on PostgreSQL, plain Double is refused by a STRICT table.
NUMBER: TypeEngine[float] = Double().with_variant(REAL(), "sqlite")

# PostgreSQL would store NaN and infinity (NaN sorts above every number there); SQLite turns NaN into NULL by itself.
FINITE = "{0} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

licence = Table(
    "licence",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    sqlite_strict=True,
)

model = Table(
    "model",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("kind", Text),
    Column("licence_id", INTEGER, ForeignKey("licence.id")),
    Column("declared", INTEGER, nullable=False),
    CheckConstraint("declared IN (0, 1)", name="declared"),
    sqlite_strict=True,
)

model_lineage = Table(
    "model_lineage",
    metadata,
    Column("model_id", INTEGER, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("relation", Text, primary_key=True),
    Column("parent", Text, primary_key=True),
    Column("licence_id", INTEGER, ForeignKey("licence.id"), nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

policy = Table(
    "policy",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    sqlite_strict=True,
)

prompt = Table(
    "prompt",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("text", Text, nullable=False),
    sqlite_strict=True,
)

run = Table(
    "run",
    metadata,
    Column("seq", INTEGER, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("job_path", Text, nullable=False),
    Column("spec_sha256", Text, nullable=False),
    Column("spec_json", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("model_id", INTEGER, ForeignKey("model.id"), nullable=False),
    Column("policy_id", INTEGER, ForeignKey("policy.id"), nullable=False),
    Column("planned", INTEGER, nullable=False),
    Column("out_dir", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("ended_at", Text),
    Column("seconds", NUMBER, nullable=False),
    Column("seconds_by_stage", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("gates", Text, nullable=False),
    Column("report", Text),
    CheckConstraint("planned >= 0", name="planned"),
    sqlite_strict=True,
)

shard = Table(
    "shard",
    metadata,
    Column("run_seq", INTEGER, ForeignKey("run.seq"), primary_key=True),
    Column("number", INTEGER, primary_key=True),
    Column("start", INTEGER, nullable=False),
    Column("stop", INTEGER, nullable=False),
    Column("state", Text, nullable=False),
    Column("token", INTEGER, nullable=False),
    Column("owner", Text),
    Column("lease_until", NUMBER),
    Column("files_sha256", Text),
    CheckConstraint("state IN ('open', 'leased', 'done')", name="state"),
    CheckConstraint("start >= 0 AND stop > start", name="range"),
    CheckConstraint("(state = 'leased') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("(state = 'done') = (files_sha256 IS NOT NULL)", name="done"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

item = Table(
    "item",
    metadata,
    Column("run_seq", INTEGER, primary_key=True),
    Column("item_index", INTEGER, primary_key=True),
    Column("shard", INTEGER, nullable=False),
    Column("sku", Text, nullable=False),
    Column("prompt_id", INTEGER, ForeignKey("prompt.id"), nullable=False),
    Column("fields", Text, nullable=False),
    ForeignKeyConstraint(["run_seq", "shard"], ["shard.run_seq", "shard.number"]),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("run_seq", INTEGER, nullable=False),
    Column("item_index", INTEGER, nullable=False),
    Column("attempt", INTEGER, nullable=False),
    Column("current", INTEGER, nullable=False),
    Column("verdict", INTEGER, nullable=False),
    Column("image_id", Text, nullable=False),
    Column("seed", INTEGER, nullable=False),
    Column("size_px", INTEGER, nullable=False),
    Column("gen_s", NUMBER, nullable=False),
    Column("error", Text),
    Column("relpath", Text),
    Column("file_sha256", Text, index=True),
    Column("bytes", INTEGER, nullable=False),
    Column("width", INTEGER, nullable=False),
    Column("height", INTEGER, nullable=False),
    Column("phash", Text),
    Column("pixels_sha256", Text),
    ForeignKeyConstraint(["run_seq", "item_index"], ["item.run_seq", "item.item_index"], ondelete="CASCADE"),
    UniqueConstraint("run_seq", "item_index", "attempt"),
    UniqueConstraint("run_seq", "image_id"),
    CheckConstraint("attempt >= 1", name="attempt"),
    CheckConstraint("current IN (0, 1)", name="current"),
    CheckConstraint("(relpath IS NULL) = (file_sha256 IS NULL)", name="image"),
    CheckConstraint(FINITE.format("gen_s"), name="gen_s"),
    sqlite_strict=True,
)
# The database itself refuses two standing attempts at one item.
Index(
    "ux_attempt_current",
    attempt.c.run_seq,
    attempt.c.item_index,
    unique=True,
    sqlite_where=attempt.c.current == 1,
    postgresql_where=attempt.c.current == 1,
)

# Apart from `attempt`, so that scans over attempts do not read through the pictures.
thumbnail = Table(
    "thumbnail",
    metadata,
    Column("attempt_id", INTEGER, ForeignKey("attempt.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("picture", LargeBinary, nullable=False),
    sqlite_strict=True,
)

verdict = Table(
    "verdict",
    metadata,
    Column("attempt_id", INTEGER, ForeignKey("attempt.id", ondelete="CASCADE"), primary_key=True),
    Column("number", INTEGER, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("joint_p", NUMBER),
    Column("policy_id", INTEGER, ForeignKey("policy.id"), nullable=False),
    Column("decided_at", Text, nullable=False),
    CheckConstraint("outcome IN ('accept', 'review', 'reject', 'failed')", name="outcome"),
    CheckConstraint("joint_p BETWEEN 0 AND 1", name="joint_p"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

finding = Table(
    "finding",
    metadata,
    Column("attempt_id", INTEGER, primary_key=True),
    Column("verdict", INTEGER, primary_key=True),
    Column("place", INTEGER, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("value", NUMBER),
    Column("threshold", NUMBER),
    Column("evidence", Text, nullable=False),
    ForeignKeyConstraint(["attempt_id", "verdict"], ["verdict.attempt_id", "verdict.number"], ondelete="CASCADE"),
    CheckConstraint("severity IN ('block', 'warn', 'info')", name="severity"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

metric_def = Table(
    "metric_def",
    metadata,
    Column("id", INTEGER, primary_key=True),
    Column("detector", Text, nullable=False),
    Column("version", INTEGER, nullable=False),
    UniqueConstraint("detector", "version"),
    sqlite_strict=True,
)

metric = Table(
    "metric",
    metadata,
    Column("attempt_id", INTEGER, ForeignKey("attempt.id", ondelete="CASCADE"), primary_key=True),
    Column("metric_id", INTEGER, ForeignKey("metric_def.id"), primary_key=True),
    Column("value", NUMBER, nullable=False),
    CheckConstraint(FINITE.format("value"), name="finite"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

unscored = Table(
    "unscored",
    metadata,
    Column("attempt_id", INTEGER, ForeignKey("attempt.id", ondelete="CASCADE"), primary_key=True),
    Column("metric_id", INTEGER, ForeignKey("metric_def.id"), primary_key=True),
    Column("reason", Text, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("seq", INTEGER, primary_key=True, autoincrement=False),
    Column("ts", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", Text, nullable=False, unique=True),
    Column("hash", Text, nullable=False, unique=True),
    sqlite_strict=True,
)
