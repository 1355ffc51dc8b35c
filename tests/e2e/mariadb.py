"""A MariaDB server of its own in a temporary folder, gone with it."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.e2e.packages import found_or_installed
from tests.e2e.postgres import UNPRIVILEGED, free_port, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def mariadb() -> Iterator[str]:
    """Yield the address of a server with an empty database ``ledger``, its user ``ledger`` without a password."""
    server_program, client = found_or_installed(
        found, "mariadb-server", "MariaDB's programs (mariadbd, mariadb-install-db) are not on this machine."
    )
    folder = Path(tempfile.mkdtemp(prefix="kling-mariadb-"))
    as_whom: dict[str, Any] = {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}
    name = UNPRIVILEGED if as_whom else getpass.getuser()
    if as_whom:
        shutil.chown(folder, UNPRIVILEGED)
    port, data, socket = free_port(), folder / "data", folder / "socket"
    run(
        [
            "env",  # several that are made at once must not meet in the system's folder of temporary files
            f"TMPDIR={folder}",
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
        ],
        as_whom,
    )
    log = (folder / "log").open("wb")
    server = subprocess.Popen(  # noqa: S603 the server that was found or installed
        [
            server_program,
            "--no-defaults",
            f"--datadir={data}",
            f"--port={port}",
            f"--socket={socket}",
            "--bind-address=127.0.0.1",
            "--innodb-flush-log-at-trx-commit=0",
            f"--user={name}",
        ],
        stdout=log,
        stderr=log,
        cwd=folder,
        **as_whom,
    )
    try:
        made = "CREATE DATABASE ledger; CREATE USER ledger@'127.0.0.1'; GRANT ALL ON *.* TO ledger@'127.0.0.1'"
        run([client, "--no-defaults", f"--socket={socket}", "-u", "root", "-e", made], {}, tries=100)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def found() -> tuple[Path, Path] | None:
    """Return the programs of the server and of its client, if they are on this machine."""
    path = os.pathsep.join([*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"])
    if shutil.which("mariadb-install-db", path=path) is None:
        return None
    programs = [shutil.which(name, path=path) for name in ("mariadbd", "mariadb")]
    return (Path(programs[0]), Path(programs[1])) if programs[0] and programs[1] else None
