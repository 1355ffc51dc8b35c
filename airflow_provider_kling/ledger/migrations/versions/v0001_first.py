"""The first tables."""

from __future__ import annotations

from alembic import op

from airflow_provider_kling.ledger.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, and the locks in theirs."""
    metadata.create_all(op.get_bind())
    op.bulk_insert(metadata.tables["kling_lock"], [{"name": "submits"}])


def downgrade() -> None:
    """Drop the tables."""
    metadata.drop_all(op.get_bind())
