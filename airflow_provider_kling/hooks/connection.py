"""How both hooks read an Airflow connection."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from airflow_provider_kling import __version__
from airflow_provider_kling.get_provider_info import CONN_TYPE
from airflow_provider_kling.hooks.proxies import proxy_passwords
from airflow_provider_kling.segmind import redaction
from airflow_provider_kling.segmind.errors import SegmindConnectionMissingError, SegmindSettingsError
from airflow_provider_kling.segmind.settings import Settings
from airflow_provider_kling.versions import mask

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


def identity() -> dict[str, str]:
    """Return the headers of every request: who sends it, and which answers are accepted."""
    return {
        "User-Agent": f"airflow-provider-kling/{__version__} Python/{platform.python_version()}",
        "X-Initiator": "AIRFLOW-PROVIDER-KLING",
        "Accept": "application/json, */*;q=0.5",
        "Accept-Encoding": "identity",  # a proxy may compress an answer anyway
        "Cache-Control": "no-cache",  # for caches on the way that obey it: the answers change
    }


def read_settings(connection: Connection) -> Settings:
    """
    Return the connection, checked; from here on its key is masked in Airflow's logs and this package's messages.

    On an event loop, call it in a thread, because it may ask the supervisor process.

    :raises SegmindSettingsError: it is for another service, or cannot work; nothing was sent.
    """
    # A run's parameter may choose the connection: no other service's password goes to Segmind.
    if connection.conn_type != CONN_TYPE:
        raise SegmindSettingsError(
            f"Connection {connection.conn_id!r} is of type {connection.conn_type!r}, not {CONN_TYPE!r}: its password "
            f"is not sent to Segmind. Name one of type {CONN_TYPE}, or set that type on this one if it is meant."
        )
    settings = Settings.from_connection(
        connection.conn_id,
        host=connection.host,
        port=connection.port,
        password=connection.password,
        extra=connection.extra,
    )
    passwords = proxy_passwords()
    redaction.add(*passwords)
    # Airflow itself masks the password only as it is stored in the connection, not its base64 form.
    mask([form for secret in (settings.api_key, *passwords) for form in redaction.forms(secret)])
    return settings


def missing(conn_id: str) -> SegmindConnectionMissingError:
    """Return the error for a connection that does not exist, or that Airflow could not read."""
    return SegmindConnectionMissingError(
        f"Connection {conn_id!r} does not exist, or what holds it did not answer; add one of type segmind with your "
        "API key as its password: "
        f"airflow connections add {conn_id} --conn-type segmind --conn-password YOUR_KEY"
    )
