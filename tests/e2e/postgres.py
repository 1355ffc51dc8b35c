"""A PostgreSQL server of its own in a temporary folder, gone with it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2

from tests.e2e.packages import found_or_installed

if TYPE_CHECKING:
    from collections.abc import Iterator

#: PostgreSQL refuses to run as root; then it runs as this user, which every Unix has.
UNPRIVILEGED = "nobody"


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the address of an empty database."""
    programs = found_or_installed(
        found,
        "postgresql",
        "PostgreSQL's programs (initdb, postgres) are not on this machine; install PostgreSQL 13 or later.",
    )
    folder = Path(tempfile.mkdtemp(prefix="kling-postgres-"))
    as_whom: dict[str, Any] = {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}
    if as_whom:
        shutil.chown(folder, UNPRIVILEGED)
    port = free_port()
    data = folder / "data"
    log = (folder / "log").open("wb")
    run([programs / "initdb", "-D", data, "-U", "airflow", "--auth=trust", "--no-sync", "-E", "UTF8"], as_whom)
    server = subprocess.Popen(  # noqa: S603 the server that was found or installed
        [
            programs / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            "-k",
            folder,
            "-c",
            "fsync=off",
            "-c",
            "max_connections=300",
        ],
        stdout=log,
        stderr=log,
        cwd=folder,
        **as_whom,
    )
    try:
        run([programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], as_whom, tries=100)
        run([programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", "airflow"], as_whom)
        yield f"127.0.0.1:{port}/airflow"
    finally:
        server.send_signal(signal.SIGINT)  # which does not wait for those that are still connected
        server.wait(30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(address: str) -> dict[str, Any]:
    """Make one more empty database on a server; return the fields of an Airflow connection to it."""
    host, port = address.partition("/")[0].split(":")
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(host=host, port=port, user="airflow", dbname="airflow")
    connection.autocommit = True
    connection.cursor().execute(f"CREATE DATABASE {name}")
    connection.close()
    return {"conn_type": "postgres", "host": host, "port": int(port), "login": "airflow", "schema": name}


def free_port() -> int:
    """
    Return a port that nobody listens on.

    It lies below those that a system gives to whoever connects or asks for any: what will listen on it may start later.
    """
    while True:
        port = random.randint(20_000, 32_000)  # noqa: S311 no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def found() -> Path | None:
    """Return the folder of PostgreSQL's programs, if they are on this machine."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += sorted(Path("/usr").glob("pgsql-*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists():
            programs = (folder / "initdb").resolve().parent
            if all((programs / name).exists() for name in ("postgres", "pg_isready", "createdb")):
                return programs
    return None


def run(command: list[object], as_whom: dict[str, Any], tries: int = 1) -> None:
    """Run a program to its end, a few times if it fails."""
    for attempt in range(tries):
        done = subprocess.run(  # noqa: S603 the programs that were found or installed
            [str(part) for part in command], capture_output=True, text=True, cwd="/", **as_whom, check=False
        )
        if done.returncode == 0:
            return
        if attempt + 1 < tries:
            subprocess.run(["sleep", "0.2"], check=True)  # noqa: S607 wherever the system keeps it
    raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}")
