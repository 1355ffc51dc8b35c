"""The first tables; what they hold is said in :mod:`airflow_provider_kling.ledger.tables`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

_MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
_LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}


def upgrade() -> None:
    """Make the tables, and the lock that orders submits."""
    op.create_table(
        "kling_generation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("deployment", sa.String(100), nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=False),
        sa.Column("run_id", sa.String(250), nullable=False),
        sa.Column("task", sa.String(300), nullable=False),
        sa.Column("project", sa.String(250), nullable=False),
        sa.Column("task_key", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(250), nullable=False),
        sa.Column("account", sa.String(16), nullable=False),
        sa.Column("model", sa.String(250), nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("variant", sa.String(100), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("request_id", sa.String(200)),
        sa.Column("reused_from", sa.String(200)),
        sa.Column("intended_at", _MOMENT, nullable=False),
        sa.Column("accepted_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("low", sa.Float()),
        sa.Column("high", sa.Float()),
        sa.Column("cost", sa.Float()),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("payload", _LONG),
        sa.Column("output", _LONG),
        sa.Column("files", _LONG),
        sa.Column("record", _LONG),
        sa.Column("shown", _LONG),
        sa.UniqueConstraint("task_key", "number", name="kling_generation_of_task"),
        sa.UniqueConstraint("host", "request_id", name="kling_generation_of_request"),
        sa.Index("kling_generation_wanted", "content", "variant"),
        sa.Index("kling_generation_in_time", "intended_at"),
        sa.Index("kling_generation_of_project", "project", "intended_at"),
        sa.Index("kling_generation_of_run", "dag_id", "run_id"),
        **_MYSQL,
    )
    locks = op.create_table("kling_lock", sa.Column("name", sa.String(50), primary_key=True), **_MYSQL)
    op.bulk_insert(locks, [{"name": "submits"}])
    op.create_table(
        "kling_budget_warning",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("warned_at", _MOMENT, nullable=False),
        **_MYSQL,
    )


def downgrade() -> None:
    """Drop the tables."""
    for name in ("kling_budget_warning", "kling_lock", "kling_generation"):
        op.drop_table(name)
