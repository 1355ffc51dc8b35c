"""Brings the ledger's tables up to date, with Alembic; only ``airflow kling ledger migrate`` does that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

from airflow_provider_kling.ledger.schema import VERSIONS, refuse_newer, version

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database


def migrate(database: Database) -> tuple[str | None, str]:
    """
    Make the tables, or bring them up to date; return the version before and the one now.

    :raises KlingLedgerSettingsError: they are of a newer version of this provider, or may not be changed.
    :raises KlingLedgerError: the database does not answer.
    """
    before = version(database)
    refuse_newer(database, before)
    with database.changing() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
    return before, VERSIONS[-1]


def config() -> Config:
    """Return Alembic's settings."""
    settings = Config()
    settings.set_main_option("script_location", "airflow_provider_kling.ledger:migrations")
    return settings
