"""
Connections for downloads: each leads to an allowed address, whatever its name resolved to before.

Imported where the first file is fetched, because ``requests`` is slow to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kling.hooks.connection import identity
from airflow_provider_kling.hooks.http_session import WatchedSession

if TYPE_CHECKING:
    from airflow_provider_kling.storage.download_hosts import Hosts


def checked_session(hosts: Hosts) -> WatchedSession:
    """Return a session that connects to allowed addresses only; a proxy's own connections are not checked."""
    session = WatchedSession(hosts.check_address)
    session.headers.update({"User-Agent": identity()["User-Agent"]})
    session.auth = lambda request: request  # being set, it disables a .netrc
    return session
