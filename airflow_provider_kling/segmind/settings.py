"""
A connection's settings, checked before anything is sent.

The API key goes to the three hosts held here and nowhere else. A host other than Segmind's own (the
simulator, a gateway) is taken to answer for all three, so that its key does not reach Segmind.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from airflow_provider_kling.segmind import redaction
from airflow_provider_kling.segmind.errors import SegmindSettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kling.segmind.call import Host

DEFAULT_HOST = "https://api.segmind.com"
DEFAULT_HISTORY_HOST = "https://api.spotprod.segmind.com"
DEFAULT_STORAGE_HOST = "https://workflows-api.segmind.com"

#: Seconds to wait for an answer, once connected.
DEFAULT_TIMEOUT = 60.0
#: What the cheapest plan allows; the plan of a key cannot be queried.
DEFAULT_REQUESTS_PER_MINUTE = 60.0
#: The fields that the extra of a connection may have.
EXTRAS = ("timeout", "requests_per_minute", "history_host", "storage_host", "allow_http", "time_scale")
LAST_PORT = 65535
#: Seconds to wait for a connection.
CONNECT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """
    One connection, ready to use.

    :param api_key: sent as ``x-api-key`` to the three hosts only; not in the repr, and hidden in every text.
    :param host: base URL of submits, polls, results and the balance.
    :param history_host: base URL of the request history.
    :param storage_host: base URL of uploads.
    :param timeout: seconds to wait for an answer.
    :param requests_per_minute: what the plan allows, submits and polls together.
    :param time_scale: how many times as fast as Segmind a simulator runs its jobs.
    """

    api_key: str = field(repr=False)
    host: str = DEFAULT_HOST
    history_host: str = DEFAULT_HISTORY_HOST
    storage_host: str = DEFAULT_STORAGE_HOST
    timeout: float = DEFAULT_TIMEOUT
    requests_per_minute: float = DEFAULT_REQUESTS_PER_MINUTE
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        redaction.add(self.api_key)

    def __reduce__(self) -> NoReturn:
        raise TypeError("The settings of a connection hold its API key: they are read again, not pickled.")

    def base_url(self, host: Host) -> str:
        """Return the base URL that answers a call."""
        url: str = getattr(self, host)
        return url

    @classmethod
    def from_connection(
        cls,
        conn_id: str,
        *,
        host: str | None,
        port: int | None,
        password: str | None,
        extra: str | None,
    ) -> Settings:
        """
        Read an Airflow connection.

        :param extra: the connection's extra as it is stored, JSON text.
        :raises SegmindSettingsError: naming the field of the connection and what to change.
        """
        api_key = (password or "").strip()
        if not api_key:
            raise SegmindSettingsError(
                f"Connection {conn_id!r} has no API key: put your Segmind key into its password field."
            )
        if not api_key.isascii() or any(ch.isspace() or not ch.isprintable() for ch in api_key):
            raise SegmindSettingsError(
                f"Connection {conn_id!r}: the password is not an API key, it holds spaces or characters that "
                "a header cannot carry; copy the key again."
            )
        extras = _extras(conn_id, extra)
        allow_http = _flag(conn_id, extras, "allow_http")

        def base_url(name: str, value: Any, default: str, port: int | None = None) -> str:
            return _base_url(conn_id, name, value, port, allow_http=allow_http) if value else default

        if port and not 0 < port <= LAST_PORT:
            raise SegmindSettingsError(f"Connection {conn_id!r}, port: {port!r} is no port; leave it empty.")
        if port and not (host or "").strip():
            raise SegmindSettingsError(
                f"Connection {conn_id!r}, port: {port!r} is set and the host is not, so the key would go to Segmind. "
                "Put the base URL into the host, such as 'http://localhost:8765', or leave the port empty."
            )
        api = base_url("host", (host or "").strip(), DEFAULT_HOST, port)
        is_segmind = (urlsplit(api).hostname or "").endswith(".segmind.com")
        return cls(
            api_key=api_key,
            host=api,
            history_host=base_url(
                "extra.history_host", extras.get("history_host"), DEFAULT_HISTORY_HOST if is_segmind else api
            ),
            storage_host=base_url(
                "extra.storage_host", extras.get("storage_host"), DEFAULT_STORAGE_HOST if is_segmind else api
            ),
            timeout=_positive(conn_id, extras, "timeout", DEFAULT_TIMEOUT, "a number of seconds"),
            requests_per_minute=_positive(
                conn_id,
                extras,
                "requests_per_minute",
                DEFAULT_REQUESTS_PER_MINUTE,
                "the number of requests that your plan allows in a minute",
            ),
            time_scale=_positive(conn_id, extras, "time_scale", 1.0, "how many times as fast a simulator is"),
        )


def _extras(conn_id: str, extra: str | None) -> dict[str, Any]:
    if not extra or not extra.strip():
        return {}
    try:
        extras = json.loads(extra)
    except (ValueError, RecursionError):
        extras = None
    if not isinstance(extras, dict):
        raise SegmindSettingsError(f'Connection {conn_id!r}: the extra is not a JSON object such as {{"timeout": 60}}.')
    for name in extras.keys() - set(EXTRAS):  # a name that resembles none of them may be for something else
        if meant := difflib.get_close_matches(str(name).lower(), EXTRAS, n=1, cutoff=0.8):
            raise SegmindSettingsError(
                f"Connection {conn_id!r}, extra.{name}: there is no such field; did you mean {meant[0]!r}?"
            )
    return extras


def _base_url(conn_id: str, name: str, value: Any, port: int | None, *, allow_http: bool) -> str:
    where = f"Connection {conn_id!r}, {name}"
    if not isinstance(value, str):
        raise SegmindSettingsError(f"{where}: {value!r} is not a URL; use {DEFAULT_HOST!r} or leave it empty.")
    text = value.strip()
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        hostname, own_port = parts.hostname, parts.port
    except ValueError:
        raise SegmindSettingsError(f"{where}: {text!r} is not a URL; use {DEFAULT_HOST!r}.") from None
    if parts.username or parts.password:
        raise SegmindSettingsError(f"{where}: holds a user name or password; only the password field may hold the key.")
    if not hostname or any(ch.isspace() for ch in text):
        raise SegmindSettingsError(f"{where}: {text!r} names no host; use {DEFAULT_HOST!r}.")
    if parts.scheme not in {"http", "https"}:
        raise SegmindSettingsError(f"{where}: {parts.scheme!r} is not a scheme that Segmind speaks; use https.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SegmindSettingsError(
            f"{where}: {text!r} must be a bare base URL; remove {parts.path + parts.query + parts.fragment!r}, "
            "the provider adds the paths itself."
        )
    if parts.scheme == "http" and not is_this_machine(hostname) and not allow_http:
        raise SegmindSettingsError(
            f"{where}: {text!r} would send the API key unencrypted to another machine; use https, or set "
            'the extra "allow_http": true if that is what you want.'
        )
    own_port = own_port or port
    bracketed = f"[{hostname}]" if ":" in hostname else hostname
    return f"{parts.scheme}://{bracketed}" + (f":{own_port}" if own_port else "")


def is_this_machine(hostname: str) -> bool:
    """Whether a host is this machine, by its name."""
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def _flag(conn_id: str, extra: Mapping[str, Any], name: str) -> bool:
    value = extra.get(name, False)
    if isinstance(value, str):  # Airflow 2's form stores text
        value = {"true": True, "false": False, "": False}.get(value.strip().lower(), value)
    if not isinstance(value, bool | None):
        raise SegmindSettingsError(f"Connection {conn_id!r}, extra.{name}: {value!r} is not true or false.")
    return bool(value)


def _positive(conn_id: str, extra: Mapping[str, Any], name: str, default: float, kind: str) -> float:
    value = extra.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise SegmindSettingsError(f"Connection {conn_id!r}, extra.{name}: {value!r} is not {kind} above 0.")
    return number
