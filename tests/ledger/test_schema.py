from __future__ import annotations

import subprocess
import sys

import pytest
from airflow.providers.common.compat.sdk import Connection
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from airflow_provider_kling.ledger.database import database_of
from airflow_provider_kling.ledger.migration import config, migrate
from airflow_provider_kling.ledger.schema import VERSION_TABLE, VERSIONS, check
from airflow_provider_kling.ledger.tables import metadata
from airflow_provider_kling.segmind.errors import KlingLedgerError, KlingLedgerSettingsError


def test_what_the_migrations_make_is_what_the_code_reads(database):
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_to_migrate_twice_changes_nothing(database):
    assert migrate(database) == (VERSIONS[-1], VERSIONS[-1])
    check(database)


def test_an_empty_database_is_told_with_the_command(ledger_connection):
    empty = database_of(Connection(conn_id="my_ledger", **ledger_connection))
    with pytest.raises(KlingLedgerSettingsError, match=r"'my_ledger'.* no tables yet.*airflow kling ledger migrate"):
        check(empty)


def test_a_ledger_of_a_newer_version_is_left_alone(database):
    with database.changing() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608 a constant
    for act in (check, migrate):
        with pytest.raises(KlingLedgerSettingsError, match=r"version 9999.*Install that version here too"):
            act(database)


def test_a_server_that_is_away_is_an_error_that_a_retry_may_cure():
    away = database_of(
        Connection(conn_id="away", conn_type="postgres", host="127.0.0.1", port=9, login="x", schema="x")
    )
    with pytest.raises(KlingLedgerError, match=r"'away'.*a retry may help"):
        check(away)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"conn_type": "http"}, "is of type 'http'; the ledger needs one of type postgres, mysql, sqlite"),
        ({"conn_type": "sqlite", "host": "ledger.db"}, "must be the absolute path"),
        ({"conn_type": "sqlite"}, "must be the absolute path"),
    ],
)
def test_a_connection_that_cannot_hold_a_ledger_is_told_in_one_line(fields, told):
    with pytest.raises(KlingLedgerSettingsError, match=told):
        database_of(Connection(conn_id="wrong", **fields))


def test_each_migration_is_named_in_the_order_in_which_they_follow():
    scripts = ScriptDirectory.from_config(config())
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == VERSIONS


def test_a_task_does_not_import_alembic_which_writes_lines_into_its_log():
    code = "import sys; from airflow_provider_kling.ledger import task_ledger, results; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 fixed
    assert done.stdout.splitlines()[-1] == "False"
