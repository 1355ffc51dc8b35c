"""What Alembic runs: it migrates the connection that :mod:`airflow_provider_kling.ledger.migration` passes."""

from __future__ import annotations

from alembic import context

from airflow_provider_kling.ledger.schema import VERSION_TABLE
from airflow_provider_kling.ledger.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
