"""How long each job took, to learn it for its model; indexes that hold the figures that are asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

_OF_MODEL, _OF_PROJECT = "kling_generation_of_model", "kling_generation_of_project"


def upgrade() -> None:
    """Add the column, and make the indexes."""
    exact = mysql.DOUBLE(asdecimal=False)
    if op.get_bind().dialect.name == "mysql":  # whose FLOAT has seven digits
        for name in ("low", "high", "cost"):
            op.alter_column("kling_generation", name, existing_type=sa.Float(), type_=exact)
    op.add_column("kling_generation", sa.Column("seconds", sa.Float(53).with_variant(exact, "mysql")))
    op.add_column("kling_rate_limit", sa.Column("others_free_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index(_OF_MODEL, "kling_generation", ["host", "model", "ended_at", "seconds"])
    op.drop_index(_OF_PROJECT, "kling_generation")
    op.create_index(_OF_PROJECT, "kling_generation", ["project", "intended_at", "state", "cost", "high"])


def downgrade() -> None:
    """Take them back."""
    op.drop_index(_OF_PROJECT, "kling_generation")
    op.create_index(_OF_PROJECT, "kling_generation", ["project", "intended_at"])
    op.drop_index(_OF_MODEL, "kling_generation")
    op.drop_column("kling_rate_limit", "others_free_at")
    op.drop_column("kling_generation", "seconds")
