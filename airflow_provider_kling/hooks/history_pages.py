"""Reads the request history of a time span page by page, within limits, until no row of the span can follow."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import SegmindInputError, SegmindResponseError
from airflow_provider_kling.segmind.history import created_at, created_within, is_of_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kling.segmind.call import Call
    from airflow_provider_kling.segmind.history import HistoryPage, HistoryRow

#: Most pages of the history that are read: ten thousand jobs of one model within some days.
MOST_PAGES = 100
#: Seconds that all pages together may take.
LONGEST_SEARCH = 120.0
#: Bytes of all pages together.
LARGEST_HISTORY = 64 * 1024**2
_A_DAY = timedelta(days=1)
#: What is asked for at once of all models, which have more rows than one has.
SPAN_OF_ALL = timedelta(days=7)
#: Later than any row's time.
_EVER = datetime(2200, 1, 2, tzinfo=UTC)
#: Sends a call and returns its parsed answer.
Ask = Callable[["Call[HistoryPage]"], "HistoryPage"]


def rows(
    ask: Ask, check_clock: Callable[[], None], *, model: str | None, since: datetime, until: datetime | None
) -> list[HistoryRow]:
    """
    Return the account's jobs of one model, newest first: see :meth:`SegmindHook.find_requests`.

    :param check_clock: raises if this machine's clock is too far from the time in the last answer.
    """
    now = datetime.now(tz=UTC)
    last = now if until is None else until
    for name, moment in (("since", since), ("until", last)):
        if moment.tzinfo is None:
            raise SegmindInputError(f"{name}: needs a time zone, such as pendulum.now('UTC').subtract(hours=1).")
    last = max(since, min(last, now))
    found: dict[str, HistoryRow] = {}
    while True:
        first = max(since, last - (SPAN_OF_ALL if model is None else protocol.HISTORY_SPAN))
        for row in _read(ask, check_clock, model, first, last):
            in_time = created_within(row, since, until or now + _A_DAY)
            if False not in {model is None or is_of_model(row, model), in_time}:
                found.setdefault(row.request_id or f"row {len(found)}", row)
        if first == since:
            return list(found.values())
        last = first


def _read(
    ask: Ask, check_clock: Callable[[], None], model: str | None, since: datetime, until: datetime
) -> Iterator[HistoryRow]:
    """Yield the rows of a span, page by page, until no row newer than its start can follow."""
    of_what = model or "all models"
    seen: set[str] = set()
    oldest = datetime.max.replace(tzinfo=UTC)
    descends, size = True, 0
    until_when = time.monotonic() + LONGEST_SEARCH
    before: tuple[HistoryRow, ...] = ()
    for page in range(1, MOST_PAGES + 1):
        answer = ask(protocol.history(model=model, since=since, until=until, page=page))
        check_clock()
        rows, size = answer.rows, size + answer.size
        if size > LARGEST_HISTORY:
            raise SegmindResponseError(
                f"Segmind's request history of {of_what} has more than {LARGEST_HISTORY // 1024**2} MiB in {page} "
                "pages, and is not read; try again, or ask Segmind."
            )
        if time.monotonic() > until_when:
            raise SegmindResponseError(
                f"Segmind's request history of {of_what} could not be read in {LONGEST_SEARCH:.0f} s; try again, "
                "or ask Segmind."
            )
        fresh = [row for row in rows if row.request_id not in seen]
        seen.update(row.request_id for row in rows if row.request_id)
        yield from fresh
        for created in filter(None, map(created_at, fresh)):
            descends = descends and created <= oldest
            oldest = min(oldest, created)
        # Newest first, as requested: all further rows are older.
        passed = descends and any(created_within(row, since, _EVER) is False for row in fresh)
        # A short page is not the end: Segmind's pages may be smaller than requested.
        if passed or not fresh or rows == before:
            return
        before = rows
    raise SegmindResponseError(
        f"Segmind's request history of {of_what} does not end after {MOST_PAGES} pages; try again, or ask Segmind."
    )
