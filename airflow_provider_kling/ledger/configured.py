"""The ledger that Airflow's config or a task names, if one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.configuration import conf

from airflow_provider_kling.get_provider_info import (
    CONFIG_SECTION,
    DEPLOYMENT,
    LEDGER_CONN_ID,
    REUSE,
    REUSE_COMPLETED,
    REUSE_NEVER,
    STORE_PAYLOAD,
)
from airflow_provider_kling.segmind.errors import KlingLedgerSettingsError, SegmindInputError

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database


def ledger_conn_id(named: str | None = None) -> str | None:
    """
    Return the id of the ledger's connection; None without a ledger.

    :param named: what a task says; None leaves it to Airflow's config, and "" is no ledger.
    """
    chosen = conf.get(CONFIG_SECTION, LEDGER_CONN_ID, fallback="") if named is None else named
    return chosen or None


def deployment() -> str:
    """Return the label of this Airflow among those that share the ledger."""
    return conf.get(CONFIG_SECTION, DEPLOYMENT, fallback="") or ""


def stores_payloads() -> bool:
    """Whether the ledger may hold what was sent, and not only a digest of it."""
    return conf.getboolean(CONFIG_SECTION, STORE_PAYLOAD, fallback=True)


def reuses(named: str | None = None) -> bool:
    """
    Whether a task uses again what was made for the same.

    :param named: what the task says; None leaves it to Airflow's config.
    :raises SegmindInputError: it is neither of the two.
    """
    chosen = named or conf.get(CONFIG_SECTION, REUSE, fallback="") or REUSE_NEVER
    if chosen not in {REUSE_NEVER, REUSE_COMPLETED}:
        raise SegmindInputError(f'reuse: {chosen!r} is neither "{REUSE_NEVER}" nor "{REUSE_COMPLETED}".')
    return chosen == REUSE_COMPLETED


def ledger_database(named: str | None = None) -> Database | None:
    """
    Return the ledger's database; None without a ledger.

    :raises KlingLedgerSettingsError: the connection does not exist, or cannot hold a ledger.
    """
    conn_id = ledger_conn_id(named)
    if conn_id is None:
        return None
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    from airflow_provider_kling.ledger.database import database_of

    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as exc:
        raise KlingLedgerSettingsError(
            f"ledger_conn_id: connection {conn_id!r} does not exist, or what holds it did not answer. Add it, or leave "
            f"[{CONFIG_SECTION}] {LEDGER_CONN_ID} empty. Nothing was sent."
        ) from exc
    return database_of(connection)
