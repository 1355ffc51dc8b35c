"""The version of the ledger's tables: checked at first use, brought up to date by ``airflow kling ledger migrate``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import column, inspect, select, table

from airflow_provider_kling.segmind.errors import KlingLedgerSettingsError

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database

#: The table with the version; a name of its own, because Airflow's database may hold the ledger too.
VERSION_TABLE = "kling_ledger_version"


def migrate(database: Database) -> tuple[str | None, str]:
    """
    Make the tables, or bring them up to date; return the version before and the one now.

    :raises KlingLedgerSettingsError: they are of a newer version of this provider, or may not be changed.
    :raises KlingLedgerError: the database does not answer.
    """
    before = _version(database)
    _refuse_newer(database, before)
    with database.changing() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, newest()


def check(database: Database) -> None:
    """
    Check, once for each process, that the tables are there and of this version.

    :raises KlingLedgerSettingsError: they are not.
    :raises KlingLedgerError: the database does not answer.
    """
    _checked(database)


@lru_cache(maxsize=8)  # what raises is not remembered
def _checked(database: Database) -> None:
    version = _version(database)
    _refuse_newer(database, version)
    if version != newest():
        lacks = "has no tables yet" if version is None else f"has tables of version {version}, older than {newest()}"
        raise KlingLedgerSettingsError(
            f"The ledger (connection {database.name!r}) {lacks}. Run `airflow kling ledger migrate`. Nothing was sent."
        )


def newest() -> str:
    """Return the version that this code works with."""
    return str(_scripts().get_current_head())


def _version(database: Database) -> str | None:
    """Return the version of the tables; None without any. Alembic's own way writes two lines into each task's log."""
    with database.reading() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
        return None if found is None else str(found)


def _refuse_newer(database: Database, version: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if version is not None and version not in known:
        raise KlingLedgerSettingsError(
            f"The ledger (connection {database.name!r}) has tables of version {version}, which a newer version of "
            "airflow-provider-kling has made. Install that version here too. Nothing was sent."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "airflow_provider_kling.ledger:migrations")
    return config


@lru_cache(maxsize=1)
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
