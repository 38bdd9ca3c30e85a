"""Run by Alembic, on the connection and inside the transaction that `store.migrate` opened."""

from alembic import context

from qcgen.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
