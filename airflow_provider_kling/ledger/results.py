"""What became of jobs: their end, their cost, their files. Written by whoever waits for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from airflow_provider_kling.ledger.configured import stores_payloads
from airflow_provider_kling.ledger.generations import ACCEPTED, COMPLETED, FAILED, LOST
from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import generations
from airflow_provider_kling.ledger.uploads import SharedUploads
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.identifiers import canonical_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_kling.ledger.database import Database
    from airflow_provider_kling.segmind.schemas import Result

_t = generations.c


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

    def result(self, account: str | None = None) -> Result | None:
        """
        Return what is noted of its result; None if it is not COMPLETED, as far as is known here.

        :param account: that must have sent it; None if any may.
        """
        found = self._row()
        if found is None or found.state != COMPLETED or account not in {None, found.account}:
            return None
        return read_result(found.output)

    def kept_files(self) -> list[dict[str, Any]]:
        """Return where its files were saved, as :func:`~airflow_provider_kling.storage.save.save_outputs` says it."""
        found = self._row()
        saved = json.loads(found.files) if found is not None and found.files else []
        return saved if isinstance(saved, list) else []

    def keeps_files(self) -> bool:
        """Whether its files are where they were saved first."""
        from airflow_provider_kling.storage.still_there import are_saved

        result = self.result()
        return result is not None and are_saved(result.urls, self.kept_files())

    def _row(self) -> Any:
        try:
            check(self.database)
            with self.database.reading() as connection:
                return connection.execute(select(_t.state, _t.account, _t.output, _t.files).where(*self._own)).first()
        except SegmindError as error:
            self.log.warning("What the ledger knows of request %s cannot be read: %s", self.request_id, error)
            return None

    def completed(self, result: Result) -> None:
        """Note that it is COMPLETED, its cost, and its output; when it was first seen so stays."""
        output = result.model_dump(mode="json", exclude_none=True)
        if not stores_payloads():  # the answer may repeat it
            output = {name: output[name] for name in ("status", "urls", "metrics") if name in output}
            figures = type(result.metrics).model_fields
            output["metrics"] = {name: value for name, value in output["metrics"].items() if name in figures}
        noted = {"cost": result.metrics.cost, "output": json.dumps(output), "seconds": result.metrics.total_time}
        known: dict[str, Any] = {name: value for name, value in noted.items() if value is not None}
        columns = (_t.id, _t.state, _t.account, _t.intended_at, _t.record)
        try:
            check(self.database)
            with self.database.changing() as connection:
                row = connection.execute(select(*columns).where(*self._own).with_for_update()).first()
                if row is None:
                    return
                if row.state != COMPLETED:
                    known |= {"state": COMPLETED, "ended_at": _now()}
                connection.execute(update(generations).where(_t.id == row.id).values(**known))
        except SegmindError as error:
            self._not_written(error)
            return
        # A job has made something of its files: all runs may use the addresses that they were sent under.
        if addresses := json.loads(row.record or "{}").get("uploads"):
            SharedUploads(self.database, self.host, row.account, self.log).add(addresses, row.intended_at)

    def failed(self, cost: float) -> None:
        """Note that it FAILED, and what it cost all the same."""
        self._write(_t.state != COMPLETED, state=FAILED, cost=cost, ended_at=_now())

    def lost(self, account: str) -> None:
        """
        Note that neither the API nor the history knows it: nobody else waits for it.

        :param account: that was told so.
        """
        self._write(_t.state == ACCEPTED, _t.account == account, state=LOST)

    def saved(self, files: Sequence[Mapping[str, Any]]) -> None:
        """Note where its files were saved."""
        self._write(files=json.dumps(list(files)))

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


def read_result(output: str | None) -> Result | None:
    """Return a result as it was stored; None if it cannot be read."""
    from airflow_provider_kling.segmind.schemas import Result

    try:
        return None if output is None else Result.model_validate_json(output)
    except ValueError:
        return None


def _now() -> datetime:
    return datetime.now(tz=UTC)
