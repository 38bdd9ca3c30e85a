"""Alembic's folder: `env.py` runs the revisions in `versions/`.

A revision is plain `op` calls that never import `schema.py`, so that it still makes the same tables in five years.
Tables are altered with `op.batch_alter_table`; every constraint has a name.
"""
