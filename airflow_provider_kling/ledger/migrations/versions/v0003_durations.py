"""How long each job took, to learn it for its model."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_LATEST_OF_MODEL = "kling_generation_of_model"


def upgrade() -> None:
    """Add the column, and an index that holds all that is asked."""
    op.add_column("kling_generation", sa.Column("seconds", sa.Float()))
    op.create_index(_LATEST_OF_MODEL, "kling_generation", ["host", "model", "ended_at", "seconds"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index(_LATEST_OF_MODEL, "kling_generation")
    op.drop_column("kling_generation", "seconds")
