"""The version of the ledger's tables, checked at first use."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table

from airflow_provider_kling.segmind.errors import KlingLedgerSettingsError

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database

#: The table with the version; a name of its own, because Airflow's database may hold the ledger too.
VERSION_TABLE = "kling_ledger_version"
#: The versions that there have been, each a module in ``migrations/versions``. They are named here, because a task that
#: imports Alembic has its lines in the log.
VERSIONS = ("0001", "0002", "0003")


def check(database: Database) -> None:
    """
    Check, once for each process, that the tables are there and of this version.

    :raises KlingLedgerSettingsError: they are not.
    :raises KlingLedgerError: the database does not answer.
    """
    _checked(database)


@lru_cache(maxsize=8)  # what raises is not remembered
def _checked(database: Database) -> None:
    found = version(database)
    refuse_newer(database, found)
    if found != VERSIONS[-1]:
        lacks = "has no tables yet" if found is None else f"has tables of version {found}, older than {VERSIONS[-1]}"
        raise KlingLedgerSettingsError(
            f"The ledger (connection {database.name!r}) {lacks}. Run `airflow kling ledger migrate --ledger-conn-id "
            f"{database.name}`. Nothing was sent."
        )


def version(database: Database) -> str | None:
    """Return the version of the tables; None if there are none."""
    with database.reading() as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
        return None if found is None else str(found)


def refuse_newer(database: Database, found: str | None) -> None:
    """
    Refuse tables of a version that is not known here.

    :raises KlingLedgerSettingsError: a newer version of the provider has made them.
    """
    if found is not None and found not in VERSIONS:
        raise KlingLedgerSettingsError(
            f"The ledger (connection {database.name!r}) has tables of version {found}, which a newer version of "
            "airflow-provider-kling has made. Install that version here too. Nothing was sent."
        )
