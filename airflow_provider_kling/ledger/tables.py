"""The ledger's tables. A change here needs a migration in :mod:`airflow_provider_kling.ledger.migrations`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

#: Names are the longest that MySQL can index together, and at least as long as Airflow's own.
NAME = 250
#: Labels: of a deployment, of a variant.
SHORT = 100
#: The longest id that the API's answers may have here.
REQUEST_ID = 200


class Moment(TypeDecorator[datetime]):
    """A time with its zone, stored in UTC to the microsecond: not every database has times with a zone."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Return the column's type; MySQL's own has no fractions of a second."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if dialect.name == "mysql" else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 SQLAlchemy's
        """Return what is stored."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 SQLAlchemy's
        """Return what was stored."""
        return None if value is None else value.replace(tzinfo=UTC)


#: SQLite numbers the rows itself only if their key is an INTEGER.
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")
#: MySQL's FLOAT has seven digits.
_FIGURE = Float(53).with_variant(mysql.DOUBLE(asdecimal=False), "mysql")
_LONG = Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
_MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}

metadata = MetaData()

#: One row for each wanted generation: for each job, and for each result that was used again in place of one.
generations = Table(
    "kling_generation",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    # Whose it is. ``task_key`` is a digest of the deployment, the DAG, the run and the task instance.
    Column("deployment", String(SHORT), nullable=False),
    Column("dag_id", String(NAME), nullable=False),
    Column("run_id", String(NAME), nullable=False),
    Column("task", String(NAME + 50), nullable=False),
    Column("project", String(NAME), nullable=False),
    Column("task_key", String(64), nullable=False),
    Column("number", Integer, nullable=False),  # 0 for the task's first job, 1 for the one after a clear, …
    Column("revision", Integer, nullable=False),  # the task's row that was saved last has the highest
    # What is wanted.
    Column("host", String(NAME), nullable=False),
    Column("account", String(16), nullable=False),
    Column("model", String(NAME), nullable=False),
    Column("content", String(64), nullable=False),
    Column("variant", String(SHORT), nullable=False),
    # What came of it.
    Column("state", String(20), nullable=False),
    Column("request_id", String(REQUEST_ID)),
    Column("reused_from", String(REQUEST_ID)),
    Column("intended_at", Moment, nullable=False),
    Column("accepted_at", Moment),
    Column("ended_at", Moment),
    Column("low", _FIGURE),  # US dollars that its published price begins with
    Column("high", _FIGURE),  # US dollars that it costs at most
    Column("cost", _FIGURE),
    Column("used", Boolean, nullable=False),
    # The long ones last: SQLite need not read them where only those before them are wanted.
    Column("payload", _LONG),  # JSON, unless only digests are to be stored
    Column("output", _LONG),  # the result, as JSON
    Column("files", _LONG),  # where it was saved, as JSON
    Column("record", _LONG),  # of the submission, as JSON
    Column("shown", _LONG),  # what others see in its place, as JSON; "null" for nothing
    Column("seconds", _FIGURE),  # how long it took, as Segmind says
    UniqueConstraint("task_key", "number", name="kling_generation_of_task"),
    # One task alone has a job.
    UniqueConstraint("host", "request_id", name="kling_generation_of_request"),
    Index("kling_generation_wanted", "content", "variant"),
    Index("kling_generation_in_time", "intended_at"),
    Index("kling_generation_of_project", "project", "intended_at", "state", "cost", "high"),
    Index("kling_generation_of_run", "dag_id", "run_id"),
    Index("kling_generation_of_model", "host", "model", "ended_at", "seconds"),
    **_MYSQL,
)

#: Rows whose lock orders transactions; see :meth:`airflow_provider_kling.ledger.database.Database.in_turn`.
locks = Table(
    "kling_lock",
    metadata,
    Column("name", String(50), primary_key=True),
    **_MYSQL,
)

#: Where files were uploaded to.
uploads = Table(
    "kling_upload",
    metadata,
    Column("host", String(NAME), primary_key=True),
    Column("account", String(16), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("address", Text, nullable=False),
    Column("uploaded_at", Moment, nullable=False),
    **_MYSQL,
)

#: Which turns of each account's rate limit are given out; times are microseconds since 1970 by the database's clock.
rate_limits = Table(
    "kling_rate_limit",
    metadata,
    Column("account", String(16), primary_key=True),
    Column("free_at", BigInteger, nullable=False),
    Column("polls_free_at", BigInteger, nullable=False),
    Column("paused_until", BigInteger, nullable=False),
    Column("others_free_at", BigInteger, nullable=False, server_default="0"),
    Column("holders", Text, nullable=False),  # when each process that polls has last asked, as JSON
    **_MYSQL,
)

#: The budgets of which the author was warned.
warnings = Table(
    "kling_budget_warning",
    metadata,
    Column("name", String(64), primary_key=True),  # a digest of the project, the limit and the time
    Column("warned_at", Moment, nullable=False),
    **_MYSQL,
)
