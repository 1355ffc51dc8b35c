"""The ledger's database: an ordinary Airflow connection to PostgreSQL, MySQL, MariaDB or SQLite."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from airflow_provider_kling.ledger.tables import locks
from airflow_provider_kling.segmind.errors import KlingLedgerError, KlingLedgerSettingsError
from airflow_provider_kling.segmind.sanitize import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import Connection as AirflowConnection
    from sqlalchemy.engine import Connection, Engine

#: The drivers of each type of connection, the first one that is installed is taken.
DRIVERS = {
    "postgres": ("postgresql+psycopg2", "postgresql+psycopg"),
    "mysql": ("mysql+mysqldb", "mysql+pymysql"),
    "sqlite": ("sqlite",),
}
#: Names in a connection's extra that are passed on to its driver.
PASSED_ON = ("sslmode", "sslrootcert", "sslcert", "sslkey", "options", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket")
#: Seconds to wait for a connection, and for a lock that another transaction holds.
PATIENCE = 30
#: The lock of those that are about to submit.
SUBMITS = "submits"
_IN_TURN = "kling_in_turn"


@dataclass(frozen=True, slots=True)
class Database:
    """
    A database with the ledger's tables.

    :param name: the connection's id, for messages.
    """

    name: str
    engine: Engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """
        Yield a connection to read with.

        :raises KlingLedgerError: the database does not answer, or has no such tables.
        """
        with self._errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def in_turn(self, name: str = SUBMITS) -> Iterator[Connection]:
        """
        Yield a connection in a transaction that no other one of this name runs beside.

        :raises KlingLedgerError: see :meth:`reading`; nothing of it is stored.
        """
        with self.changing() as connection:
            if self.engine.dialect.name != "sqlite":  # there a transaction that writes is alone anyway
                connection.execute(select(locks.c.name).where(locks.c.name == name).with_for_update()).one()
            yield connection

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that may change tables."""
        with self._errors(), self.engine.execution_options(**{_IN_TURN: True}).begin() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as exc:
            raise _told(f"The ledger (connection {self.name!r})", one_line(exc.orig)) from exc
        except SQLAlchemyError as exc:
            raise KlingLedgerError(f"The ledger (connection {self.name!r}) failed: {one_line(exc)}") from exc


def _told(ledger: str, reason: str) -> KlingLedgerError | KlingLedgerSettingsError:
    is_missing = any(
        words in reason for words in ("no such table", "does not exist", "doesn't exist", "no such column")
    )
    if is_missing and not any(words in reason for words in ("database", "role")):
        return KlingLedgerSettingsError(
            f"{ledger} lacks a table or a column. Run `airflow kling ledger migrate` ({reason})."
        )
    if any(words in reason for words in ("readonly", "read-only", "denied")):
        return KlingLedgerSettingsError(
            f"{ledger} may not be written by this connection. Let it select, insert, update and delete ({reason})."
        )
    if any(words in reason for words in ("unable to open database file", "does not exist", "Unknown database")):
        return KlingLedgerSettingsError(
            f"{ledger} cannot be opened. Correct its connection, or make the database, or its folder ({reason})."
        )
    return KlingLedgerError(f"{ledger} does not answer as it should; a retry may help ({reason}).")


def database_of(connection: AirflowConnection) -> Database:
    """
    Return the database of an Airflow connection.

    :raises KlingLedgerSettingsError: it is of another type, or its driver is not installed.
    """
    drivers = DRIVERS.get(str(connection.conn_type))
    if drivers is None:
        raise KlingLedgerSettingsError(
            f"ledger_conn_id: connection {connection.conn_id!r} is of type {connection.conn_type!r}; the ledger needs "
            f"one of type {', '.join(DRIVERS)}. Nothing was sent."
        )
    extra = connection.extra_dejson
    query = {name: str(extra[name]) for name in PASSED_ON if name in extra}
    failed: list[str] = []
    for driver in drivers:
        try:
            if driver == "sqlite":
                url = URL.create(driver, database=_path(connection))
            else:
                url = URL.create(
                    driver,
                    username=connection.login,
                    password=connection.password,
                    host=connection.host,
                    port=connection.port,
                    database=connection.schema,
                    query=query,
                )
            return Database(str(connection.conn_id), _engine(url, os.getpid()))
        except (ImportError, NoSuchModuleError, ArgumentError) as exc:
            failed.append(f"{driver}: {one_line(exc)}")
    raise KlingLedgerSettingsError(
        f"ledger_conn_id: no driver for connection {connection.conn_id!r} is installed ({'; '.join(failed)}). Install "
        "one, such as psycopg2-binary or pymysql, wherever tasks run. Nothing was sent."
    )


def _path(connection: AirflowConnection) -> str:
    """Return the file of an SQLite connection: its host, as Airflow's own provider has it, or its schema."""
    path = str(connection.host or connection.schema or "")
    if not Path(path).is_absolute():
        raise KlingLedgerSettingsError(
            f"ledger_conn_id: the host of connection {connection.conn_id!r} must be the absolute path of the SQLite "
            f"file, and not {path!r}. Nothing was sent."
        )
    return path


@lru_cache(maxsize=8)
def _engine(url: URL, pid: int) -> Engine:  # noqa: ARG001 a forked process must not use its parent's sockets
    options: dict[str, Any] = {"pool_size": 2, "max_overflow": 8, "pool_pre_ping": True, "pool_recycle": 600}
    match url.get_backend_name():
        case "sqlite":
            engine = create_engine(url, future=True, connect_args={"timeout": PATIENCE, "check_same_thread": False})
            event.listen(engine, "connect", _leave_transactions_to_us)
            event.listen(engine, "begin", _begin)
            return engine
        case "postgresql":
            waits = f"-c lock_timeout={PATIENCE}s -c timezone=UTC {url.query.get('options', '')}".strip()
            url = url.update_query_dict({"options": waits, "connect_timeout": str(PATIENCE)})
        case _:
            options["isolation_level"] = "READ COMMITTED"
            options["connect_args"] = {"connect_timeout": PATIENCE}
            url = url.update_query_dict({"charset": "utf8mb4"})
    return create_engine(url, future=True, **options)


def _leave_transactions_to_us(connection: Any, _: Any) -> None:
    """Let SQLAlchemy begin transactions: Python's module begins them late, so that two could read the same state."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")


def _begin(connection: Connection) -> None:
    in_turn = connection.get_execution_options().get(_IN_TURN)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if in_turn else "BEGIN")
