"""The addresses of uploaded files, shared by the tasks of all runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from airflow_provider_kling.ledger.schema import check
from airflow_provider_kling.ledger.tables import NAME, uploads
from airflow_provider_kling.segmind.errors import SegmindError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_provider_kling.ledger.database import Database

#: For how long an address is used. Segmind does not say how long it keeps an upload; what it makes it keeps for seven
#: days, and a job may read its files some time after its submit.
USED_FOR = timedelta(days=6)
#: Files that are looked up at once.
BATCH = 500

_u = uploads.c


@dataclass(frozen=True, slots=True)
class SharedUploads:
    """
    What one account has uploaded to one host.

    What the ledger does not say, or cannot store, costs another upload, and is a line of the log.

    :param host: of the API.
    :param account: see :func:`airflow_provider_kling.submission.submission.account`.
    :param log: the task's logger.
    """

    database: Database
    host: str
    account: str
    log: Any

    def addresses(self, wanted: Collection[str]) -> dict[str, str]:
        """Return the addresses of files by their sha256, as far as they are known and young."""
        found: dict[str, str] = {}
        sums, since = sorted(wanted), datetime.now(tz=UTC) - USED_FOR
        try:
            check(self.database)
            with self.database.reading() as connection:
                for first in range(0, len(sums), BATCH):
                    some = _u.sha256.in_(sums[first : first + BATCH])
                    known = select(_u.sha256, _u.address).where(*self._own, some, _u.uploaded_at > since)
                    found |= {row.sha256: row.address for row in connection.execute(known)}
        except SegmindError as error:
            self.log.warning("What other runs have uploaded is not known now: %s", error)
        return found

    def add(self, addresses: Mapping[str, str], now: datetime) -> None:
        """
        Store where files were uploaded to, if that is not known, or known for too long.

        :param now: when, at the latest: an address that was known before stays as old as it is.
        """
        rows = [
            {
                "host": self.host[:NAME],
                "account": self.account,
                "sha256": sha256,
                "address": address,
                "uploaded_at": now,
            }
            for sha256, address in sorted(addresses.items())
        ]
        try:
            with self.database.in_turn() as connection:
                for first in range(0, len(rows), BATCH):
                    some = {row["sha256"]: row for row in rows[first : first + BATCH]}
                    known = select(_u.sha256, _u.address, _u.uploaded_at).where(*self._own, _u.sha256.in_(some))
                    for there in connection.execute(known).all():
                        if there.address == some[there.sha256]["address"] or there.uploaded_at > now - USED_FOR:
                            del some[there.sha256]
                    if some:
                        connection.execute(delete(uploads).where(*self._own, _u.sha256.in_(some)))
                        connection.execute(insert(uploads), list(some.values()))
        except SegmindError as error:
            self.log.warning("Other runs will not know of these uploads: %s", error)

    def forget(self, addresses: Mapping[str, str]) -> None:
        """Delete addresses, by the sha256 of their files; another address of the same file stays."""
        try:
            with self.database.in_turn() as connection:
                for sha256, address in addresses.items():
                    connection.execute(delete(uploads).where(*self._own, _u.sha256 == sha256, _u.address == address))
        except SegmindError as error:
            self.log.warning("Other runs may use these uploads: %s", error)

    @property
    def _own(self) -> tuple[Any, ...]:
        return _u.host == self.host[:NAME], _u.account == self.account
