"""What became of jobs: their end, their cost, their files. Written by whoever waits for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from airflow_provider_kling.ledger.configured import ledger_database, stores_payloads
from airflow_provider_kling.ledger.generations import ACCEPTED, COMPLETED, FAILED, LOST
from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.ledger.uploads import SharedUploads
from airflow_provider_kling.polling.schedule import LONGEST_DURATION, SHORTEST_DURATION
from airflow_provider_kling.segmind.clock import LATEST_ROW
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.identifiers import canonical_id, checked_request_id

if TYPE_CHECKING:
    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.segmind.schemas import Result

_t = generations.c
_SHA256 = re.compile("[0-9a-f]{64}")
#: How many of the places are known where a job's files were saved: the first ones and the last ones.
FIRST_COPIES, LAST_COPIES = 4, 4
#: The files of one job, in the order of its links, as :func:`~airflow_provider_kling.storage.save.save_outputs` says
#: it.
Files = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Noted:
    """
    A COMPLETED job.

    :param account: that has sent it.
    :param ended_at: when it was first seen to be over.
    :param copies: where its files were saved, each time that they were.
    """

    account: str
    model: str
    ended_at: datetime
    result: Result
    copies: list[Files]


@dataclass(frozen=True, slots=True)
class JobLedger:
    """
    The ledger, as whoever waits for one job uses it.

    What it cannot write costs nothing, and is a line of the log: ``airflow kling ledger reconcile`` adds it.

    :param host: of the API.
    :param log: the task's logger.
    """

    database: Database
    host: str
    request_id: str
    log: Any

    def noted(self) -> Noted | None:
        """Return what is noted of it as COMPLETED; None if it is not, as far as is known here."""
        columns = (_t.state, _t.account, _t.model, _t.ended_at, _t.output, _t.files)
        try:
            check(self.database)
            with self.database.reading() as connection:
                row = connection.execute(select(*columns).where(*self._own)).first()
        except SegmindError as error:
            self.log.warning("What the ledger knows of request %s cannot be read: %s", self.request_id, error)
            return None
        if row is None or row.state != COMPLETED or (result := read_result(row.output)) is None:
            return None
        return Noted(row.account, row.model, row.ended_at, result, _copies(row.files))

    def result(self, account: str | None = None) -> Result | None:
        """
        Return what is noted of its result; None if it is not COMPLETED, as far as is known here.

        :param account: that must have sent it; None if any may.
        """
        found = self.noted()
        return None if found is None or account not in {None, found.account} else found.result

    def copies(self) -> list[Files]:
        """Return where its files were saved, each time that they were."""
        found = self.noted()
        return [] if found is None else found.copies

    def completed(self, result: Result, *, is_used: bool = False) -> None:
        """
        Note that it is COMPLETED, its cost, and its output; what was seen first stays.

        Another look may come with a poorer answer, and anybody may look: it only adds what is not known yet.

        :param is_used: whether a task hands it on.
        """
        told: dict[str, Any] = {
            "cost": result.metrics.cost,
            "seconds": _plausible(result.metrics.total_time),
            "output": _stored(result),
            "used": is_used or None,
        }
        columns = (_t.id, _t.state, _t.account, _t.intended_at, _t.record, _t.cost, _t.seconds, _t.output)
        try:
            check(self.database)
            with self.database.changing() as connection:
                row = connection.execute(select(*columns).where(*self._own).with_for_update()).first()
                if row is None:
                    return
                if row.state == COMPLETED:
                    known = {"cost": row.cost, "seconds": row.seconds}
                    told |= {name: None for name, value in known.items() if value is not None}
                    if _worth(read_result(row.output)) >= _worth(result):
                        del told["output"]
                else:
                    told |= {"state": COMPLETED, "ended_at": _now()}
                values = {name: value for name, value in told.items() if value is not None}
                if values:
                    connection.execute(update(generations).where(_t.id == row.id).values(**values))
        except SegmindError as error:
            self._not_written(error)
            return
        # A job has made something of its files: all runs may use the addresses that they were sent under.
        if addresses := _uploads(row.record):
            SharedUploads(self.database, self.host, row.account, self.log).add(addresses, row.intended_at)

    def renewed(self, result: Result) -> None:
        """Note the links that have taken the place of dead ones; they were seen to answer."""
        self._write(_t.state == COMPLETED, output=_stored(result))

    def failed(self, cost: float) -> None:
        """Note that it FAILED, and what it cost all the same."""
        self._write(_t.state != COMPLETED, state=FAILED, cost=cost, ended_at=_now())
        self._forget_uploads()

    def _forget_uploads(self) -> None:
        """Let no other job use the addresses that its files were sent under: they may be why it FAILED."""
        failed = select(_t.account, _t.record).where(*self._own, _t.state == FAILED)
        try:
            with self.database.reading() as connection:
                row = connection.execute(failed).first()
        except SegmindError:
            return  # the log has it already
        if row is not None and (addresses := _uploads(row.record)):
            SharedUploads(self.database, self.host, row.account, self.log).forget(addresses)

    def lost(self, account: str) -> None:
        """
        Note that neither the API nor the history knows it: nobody else waits for it.

        :param account: that was told so.
        """
        is_old = _t.accepted_at < _now() - LATEST_ROW  # a young one may not be known yet
        self._write(_t.state == ACCEPTED, _t.account == account, is_old, state=LOST)

    def saved(self, files: Files, links: Sequence[str]) -> None:
        """
        Note where its files were saved, beside where they were saved before.

        :param links: where they came from, in the same order. If they are not those of the result that is noted,
            nothing is: what a task was told to save may name anybody's job.
        """
        try:
            check(self.database)
            with self.database.changing() as connection:
                columns = (_t.id, _t.files, _t.output)
                row = connection.execute(select(*columns).where(*self._own).with_for_update()).first()
                result = None if row is None else read_result(row.output)
                if row is None or result is None or [*result.urls] != [*links]:
                    return
                own = [dict(file) for file in files]
                places = [file.get("path") for file in own]
                others = [copy for copy in _copies(row.files) if [file.get("path") for file in copy] != places]
                copies = [*others[:FIRST_COPIES], *others[FIRST_COPIES:][-LAST_COPIES:], own]
                connection.execute(update(generations).where(_t.id == row.id).values(files=json.dumps(copies)))
        except SegmindError as error:
            self._not_written(error)

    def _write(self, *only: Any, **values: Any) -> None:
        known = {name: value for name, value in values.items() if value is not None}
        try:
            check(self.database)
            with self.database.changing() as connection:
                connection.execute(update(generations).where(*self._own, *only).values(**known))
        except SegmindError as error:
            self._not_written(error)

    @property
    def _own(self) -> tuple[Any, ...]:
        return _t.host == self.host, _t.request_id == canonical_id(self.request_id)

    def _not_written(self, error: SegmindError) -> None:
        self.log.warning("The ledger does not know the end of request %s yet: %s", self.request_id, error)


def job_ledger(named: str | None, host: str, request_id: str, log: Any) -> JobLedger | None:
    """
    Return the ledger of a job; None without a ledger, or, with a line of the log, if its connection cannot work.

    :param named: the ledger's connection that the task names; None leaves it to Airflow's config.
    :raises SegmindInputError: that is no request id.
    """
    try:
        database = ledger_database(named)
    except SegmindError as error:
        log.warning("%s", error)
        return None
    return None if database is None else JobLedger(database, host, checked_request_id(request_id), log)


def read_result(output: str | None) -> Result | None:
    """Return a result as it was stored; None if it cannot be read."""
    from airflow_provider_kling.segmind.schemas import Result

    try:
        return None if output is None else Result.model_validate_json(output)
    except ValueError:
        return None


def _worth(result: Result | None) -> int:
    """Return how much of a result is there: links, or at least a text, such as a voice, or nothing."""
    if result is None:
        return 0
    return 2 if result.urls else 1 if result.output else 0


def _stored(result: Result) -> str:
    output = result.model_dump(mode="json", exclude_none=True)
    if not stores_payloads():  # the answer may repeat it
        output = {name: output[name] for name in ("status", "urls", "metrics") if name in output}
        figures = type(result.metrics).model_fields
        output["metrics"] = {name: value for name, value in output["metrics"].items() if name in figures}
    return json.dumps(output)


def _plausible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and SHORTEST_DURATION <= seconds <= LONGEST_DURATION else None


def _copies(files: str | None) -> list[Files]:
    """Return where a job's files were saved; below version 0003 that was noted of one time only."""
    stored = json.loads(files) if files else []
    if not isinstance(stored, list):
        return []
    copies = stored if all(isinstance(copy, list) for copy in stored) else [stored]
    return [copy for copy in copies if copy and all(isinstance(file, dict) for file in copy)]


def _uploads(record: str | None) -> dict[str, str]:
    """Return the addresses of a record's files, by their sha256; those of links are of no use to others."""
    found = json.loads(record or "{}").get("uploads") or {}
    return {name: address for name, address in found.items() if _SHA256.fullmatch(name)}


def _now() -> datetime:
    return datetime.now(tz=UTC)
