"""What all processes share: the addresses of uploaded files, and the rate limit."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"

_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "kling_upload",
        sa.Column("host", sa.String(250), primary_key=True),
        sa.Column("account", sa.String(16), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql"), nullable=False),
        **_MYSQL,
    )
    op.create_table(
        "kling_rate_limit",
        sa.Column("account", sa.String(16), primary_key=True),
        sa.Column("free_at", sa.BigInteger(), nullable=False),
        sa.Column("polls_free_at", sa.BigInteger(), nullable=False),
        sa.Column("paused_until", sa.BigInteger(), nullable=False),
        sa.Column("holders", sa.Text(), nullable=False),
        **_MYSQL,
    )


def downgrade() -> None:
    """Drop them."""
    for name in ("kling_rate_limit", "kling_upload"):
        op.drop_table(name)
