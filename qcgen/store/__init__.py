"""The database: runs, shards, attempts, scores, verdicts, models and the audit chain, on SQLite or PostgreSQL.

Imports `core`, SQLAlchemy and Alembic only; nobody but `cli` names this package. `sql` implements `core.store.Store`,
`admin` looks after the file. To add a table or column: change `schema.py`, add a revision beside
`migrations/versions/r0001_first.py` that does the same, and raise `schema.HEAD`; a test compares the two. What only
one database understands goes into `sqlite.py` or `postgres.py`.
"""
