"""A ledger in each database that it is for; the servers are real ones, in temporary folders."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_kling.ledger.database import database_of
from airflow_provider_kling.ledger.migration import migrate
from tests.e2e import mariadb, postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KINDS = ("sqlite", "postgres", "mariadb")


def _on_mariadb(address: str) -> dict[str, Any]:
    host, port = address.split(":")
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    with pymysql.connect(host=host, port=int(port), user="ledger") as connection:
        connection.cursor().execute(f"CREATE DATABASE {name}")
    return {"conn_type": "mysql", "host": host, "port": int(port), "login": "ledger", "schema": name}


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Callable[[], dict[str, Any]]]]:
    """Yield a function that starts a server once, and returns what makes an empty database there."""
    started: dict[str, str] = {}
    with ExitStack() as running:

        def of(kind: str) -> Callable[[], dict[str, Any]]:
            programs, serve, make = {
                "postgres": (postgres.found, postgres.postgres, postgres.new_database),
                "mariadb": (mariadb.found, mariadb.mariadb, _on_mariadb),
            }[kind]
            if not programs() and not os.environ.get("SERVERS"):
                pytest.skip(f"{kind} is not on this machine; `make e2e` installs it where it can")
            if kind not in started:
                try:
                    started[kind] = running.enter_context(serve())
                except (RuntimeError, subprocess.CalledProcessError) as exc:
                    if programs():
                        raise
                    pytest.skip(f"{kind} cannot be installed here: {exc}")
            return partial(make, started[kind])

        yield of


@pytest.fixture(params=KINDS)
def ledger_connection(request, servers, tmp_path: Path) -> dict[str, Any]:
    """Return the fields of a connection to an empty database of each kind."""
    if request.param == "sqlite":
        return {"conn_type": "sqlite", "host": str(tmp_path / "ledger.db")}
    return servers(request.param)()


@pytest.fixture
def database(ledger_connection):
    """Return a database with the ledger's tables."""
    made = database_of(Connection(conn_id="ledger", **ledger_connection))
    migrate(made)
    yield made
    made.engine.dispose()


@pytest.fixture
def as_variable():
    """Return a function that writes a connection as an environment variable holds it."""
    return json.dumps
