"""
The hook for workers: the protocol over ``requests``. The one for triggers is beside it.

It carries bytes between :mod:`airflow_provider_kling.segmind.protocol` and a socket and decides nothing
but when to send again in place. What must not be relaxed:

* A POST is sent once. Only one of which nothing left this machine is tried again.
* The API key goes to the connection's own hosts, and no redirect is followed.
"""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_kling.get_provider_info import CONN_TYPE, CONNECTION_FIELDS, DEFAULT_CONN_ID, UI_FIELD_BEHAVIOUR
from airflow_provider_kling.hooks.connection import identity, missing, read_settings
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.segmind import clock as clocks
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import (
    SegmindAuthenticationError,
    SegmindError,
    SegmindInputError,
    SegmindRateLimitError,
    SegmindRequestNotFoundError,
    SegmindResponseError,
)
from airflow_provider_kling.segmind.history import created_at, created_within, is_of_model
from airflow_provider_kling.segmind.identifiers import checked_request_id, id_forms
from airflow_provider_kling.segmind.settings import CONNECT_TIMEOUT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import requests
    from tenacity import RetryCallState

    from airflow_provider_kling.hooks.segmind_session import SegmindSession
    from airflow_provider_kling.segmind.call import Call
    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.segmind.schemas import Credits, Generation, ListedModel, Receipt, Result, Status

__all__ = ["SegmindAsyncHook", "SegmindHook"]

T = TypeVar("T")

#: How often a request is sent at the most, while it may be sent again in place.
MAX_ATTEMPTS = 5
#: Seconds to the reset of a rate limit that a worker waits for; a later one is an error that names the time.
LONGEST_PAUSE = 20.0
#: Seconds that the blocking v1 call may take; the slowest Kling model takes 13 minutes on average.
BLOCKING_TIMEOUT = 1800.0
#: Bytes of a file that are encoded at a time.
_BLOCK = 1024**2
#: Bytes a second of a request's body at the least, so that a large file may take its time: a megabit.
SLOWEST_UPLOAD = 125_000
#: Bytes of an answer that are read at a time.
_CHUNK = 64 * 1024
_A_DAY = timedelta(days=1)
#: Later than any row's time.
_EVER = datetime(2200, 1, 2, tzinfo=UTC)
#: Pages of the history that are read at the most: ten thousand jobs of one model within some days.
MOST_PAGES = 100
#: Seconds that they all may take.
LONGEST_LOOK = 120.0
#: Bytes of them all.
LARGEST_HISTORY = 64 * 1024**2


class SegmindHook(BaseHook):
    """
    Talk to Segmind from a worker.

    :param segmind_conn_id: a connection of type ``segmind``: the API key as its password.
    """

    conn_name_attr = "segmind_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Segmind"

    def __init__(self, segmind_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.segmind_conn_id = segmind_conn_id
        self._clock_ahead = timedelta()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Tell Airflow below 3.2 how the standard fields look."""
        behaviour = {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}
        return {**behaviour, "hidden_fields": [*behaviour["hidden_fields"], "extra"]}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Tell Airflow 2 which fields of its own the connection has."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import BooleanField, StringField

        return {
            name: BooleanField(field["label"], description=field["description"])
            if "boolean" in field["schema"]["type"]
            else StringField(field["label"], widget=BS3TextFieldWidget(), description=field["description"])
            for name, field in CONNECTION_FIELDS.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what holds the key: whoever gets a copy reads the connection again."""
        return {name: value for name, value in vars(self).items() if name not in {"settings", "_session"}}

    @cached_property
    def settings(self) -> Settings:
        """
        The connection, checked.

        :raises SegmindSettingsError: the connection is missing or cannot work; nothing was sent.
        """
        try:
            connection = self.get_connection(self.segmind_conn_id)
        except AirflowNotFoundException:
            raise missing(self.segmind_conn_id) from None
        return read_settings(connection)

    @cached_property
    def _session(self) -> SegmindSession:
        from airflow_provider_kling.hooks.segmind_session import SegmindSession

        return SegmindSession(self.settings, identity())

    def get_conn(self) -> requests.Session:
        """Return the session: it sends the key to the connection's hosts only, and along no redirect."""
        return self._session

    def submit(self, model: str, payload: Mapping[str, Any]) -> Receipt:
        """
        Start a job. Each accepted one is billed when it completes and cannot be cancelled.

        :param model: the model's slug.
        :param payload: the model's parameters, sent as they are: check them with a payload class first.
        :raises SegmindAmbiguousSubmitError: sent, but the outcome is unknown; look before sending again.
        :raises SegmindError: refused or never sent. After a 429, 500 or 503, with which a gateway may answer for what
            it has passed on, look in the history before sending again.
        """
        return self._send(protocol.submit(model, payload))

    def get_status(self, request_id: str) -> Status:
        """Return where a job stands; FAILED is an answer, not an error."""
        return self._send(protocol.status(request_id))

    def get_result(self, request_id: str) -> Result:
        """
        Return a job's output, ``urls`` being its files; for a job that runs or FAILED there are none.

        :raises SegmindRequestNotFoundError: unknown, or submitted more than an hour ago.
        """
        return self._send(protocol.result(request_id))

    def generate(self, model: str, payload: Mapping[str, Any], timeout: float = BLOCKING_TIMEOUT) -> Generation:
        """
        Run a model over one open connection (the older v1 API); a lost connection loses the answer.

        Billed as :meth:`submit` is. For anything above a few seconds, submit and wait.

        :param timeout: seconds to wait for the answer.
        """
        return self._send(protocol.generate(model, payload), timeout=timeout)

    def get_credits(self) -> Credits:
        """Return the balance in US dollars."""
        return self._send(protocol.credit_balance())

    def upload(self, files: Sequence[str | Path]) -> list[str]:
        """
        Upload local files and return their addresses, in order.

        Whoever knows an address can read the file, and Segmind offers no way to delete it. A file is what its first
        bytes say, whatever its name; which files may be named is for the caller to decide.

        :raises SegmindInputError: a file is missing, too large, or no picture, video or sound; nothing was sent.
        """
        if isinstance(files, str | Path):
            files = [files]
        return list(self._send(protocol.upload([_data_url(Path(file).absolute()) for file in files])).urls)

    def upload_file(self, file: IO[bytes], mime: str) -> str:
        """Upload one open file from its beginning, and return its address; memory holds its base64 once."""
        file.seek(0)
        call = protocol.upload_file(mime, iter(lambda: file.read(_BLOCK), b""))
        return self._send(call).urls[0]

    def find_requests(self, *, model: str, since: datetime, until: datetime | None = None) -> list[HistoryRow]:
        """
        Return this account's jobs of one model, newest first, one row each.

        :param since: the earliest creation time, with its time zone, however long ago.
        :param until: the latest one; any up to now, with a day to spare. Rows whose time is not given, or whose zone
            is not, and may fit, are included.
        :raises SegmindClockError: this machine's clock and Segmind's are more than five minutes apart.
        """
        now = datetime.now(tz=UTC)
        last = now if until is None else until
        for name, moment in (("since", since), ("until", last)):
            if moment.tzinfo is None:
                raise SegmindInputError(f"{name}: needs a time zone, such as pendulum.now('UTC').subtract(hours=1).")
        last = max(since, min(last, now))
        found: dict[str, HistoryRow] = {}
        while True:
            first = max(since, last - protocol.HISTORY_SPAN)
            for row in self._read_history(model, first, last):
                in_time = created_within(row, since, until or now + _A_DAY)
                if False not in {is_of_model(row, model), in_time}:
                    found.setdefault(row.request_id or f"row {len(found)}", row)
            if first == since:
                return list(found.values())
            last = first

    def _read_history(self, model: str, since: datetime, until: datetime) -> Iterator[HistoryRow]:
        """Yield the rows of a span, page by page, until nothing newer than its begin can follow."""
        seen: set[str] = set()
        oldest = datetime.max.replace(tzinfo=UTC)
        descends, size = True, 0
        until_when = time.monotonic() + LONGEST_LOOK
        before: tuple[HistoryRow, ...] = ()
        for page in range(1, MOST_PAGES + 1):
            answer = self._send(protocol.history(model=model, since=since, until=until, page=page))
            clocks.check(self._clock_ahead)
            rows, size = answer.rows, size + answer.size
            if size > LARGEST_HISTORY:
                raise SegmindResponseError(
                    f"Segmind's request history of {model} has more than {LARGEST_HISTORY // 1024**2} MiB in {page} "
                    "pages, and is not read; ask again, or ask Segmind."
                )
            if time.monotonic() > until_when:
                raise SegmindResponseError(
                    f"Segmind's request history of {model} is not read to its end in {LONGEST_LOOK:.0f} s; ask again, "
                    "or ask Segmind."
                )
            fresh = [row for row in rows if row.request_id not in seen]
            seen.update(row.request_id for row in rows if row.request_id)
            yield from fresh
            for created in filter(None, map(created_at, fresh)):
                descends = descends and created <= oldest
                oldest = min(oldest, created)
            # Newest first, as asked for: what follows is older still.
            passed = descends and any(created_within(row, since, _EVER) is False for row in fresh)
            # Not where a page is short: Segmind may have smaller ones than are asked for.
            if passed or not fresh or rows == before:
                return
            before = rows
        raise SegmindResponseError(
            f"Segmind's request history of {model} does not end after {MOST_PAGES} pages; ask again, or ask Segmind."
        )

    def find_request(self, request_id: str, *, timeout: float | None = None, attempts: int = MAX_ATTEMPTS) -> Result:
        """
        Return what the request history tells of a job of any age: its state, its file and its cost.

        :param timeout: seconds to wait for the answer, the connection's at the most.
        :param attempts: how often to ask where no answer comes.
        :raises SegmindRequestNotFoundError: this account never made it.
        """
        longest = self.settings.timeout if timeout is None else min(timeout, self.settings.timeout)
        return self._look_up(request_id, protocol.past_request, timeout=longest, attempts=attempts)

    def find_row(
        self, request_id: str, *, timeout: float | None = None, attempts: int = MAX_ATTEMPTS
    ) -> HistoryRow | None:
        """
        Return the history's row of a job of any age: what was sent, and when; of several outputs the first's.

        :param timeout: seconds to wait for the answer, the connection's at the most.
        :param attempts: how often to ask where no answer comes.
        :raises SegmindRequestNotFoundError: this account never made it.
        """
        longest = self.settings.timeout if timeout is None else min(timeout, self.settings.timeout)
        page = self._look_up(request_id, protocol.past_rows, timeout=longest, attempts=attempts)
        return next(iter(page.rows), None)

    def _look_up(self, request_id: str, call: Callable[[str], Call[T]], **how: Any) -> T:
        """Ask the history for a job in every form in which it may know its id."""
        forms = id_forms(checked_request_id(request_id))
        for form in forms[:-1]:
            with suppress(SegmindRequestNotFoundError):
                return self._send(call(form), **how)
        return self._send(call(forms[-1]), **how)

    def list_models(self) -> list[ListedModel]:
        """Return every model that Segmind serves now, Kling's and others', as its public list tells them."""
        return list(self._send(protocol.model_list()).models)

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the balance, which costs nothing, and say whose fault a failure is."""
        try:
            balance = self._send(protocol.credit_balance(), attempts=1)
        except SegmindError as error:
            return False, str(error)
        return True, f"Segmind accepts the key. Balance: ${balance.total:.2f}"

    def _send(self, call: Call[T], *, timeout: float | None = None, attempts: int = MAX_ATTEMPTS) -> T:
        from tenacity import Retrying, retry_if_exception, stop_after_attempt

        body = call.encoded_body()
        url = self.settings.base_url(call.host) + call.path
        attempt = Retrying(
            retry=retry_if_exception(lambda exc: isinstance(exc, SegmindError) and _may_repeat(call, exc)),
            wait=_pause,
            stop=stop_after_attempt(attempts),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            answer: T = attempt(self._send_once, call, url, body, timeout or self.settings.timeout)
        except SegmindAuthenticationError:
            # A key may be rotated while a worker waits. What is paid is never sent with another key than it began with.
            if call.method != "GET" or not self._has_another_key():
                raise
            answer = attempt(self._send_once, call, url, body, timeout or self.settings.timeout)
        return answer

    def _has_another_key(self) -> bool:
        """Read the connection again; return whether its key is another one by now, and only that."""
        before = self.settings
        del self.settings
        if self.settings.api_key == before.api_key or replace(self.settings, api_key=before.api_key) != before:
            self.settings = before
            return False
        del self._session
        return True

    def _send_once(self, call: Call[T], url: str, body: bytes | None, timeout: float) -> T:
        from http.client import HTTPException

        import requests
        from urllib3.exceptions import HTTPError

        from airflow_provider_kling.hooks.response_body import Body, BodyError
        from airflow_provider_kling.hooks.segmind_session import TrackedBody, reason, was_sent

        tracked = TrackedBody(body) if body is not None else None
        try:
            with (
                self._session.within(CONNECT_TIMEOUT + timeout + len(body or b"") / SLOWEST_UPLOAD) as deadline,
                self._session.request(
                    call.method,
                    url,
                    params=call.query or None,
                    data=tracked,
                    headers={"Content-Type": "application/json"} if tracked else None,
                    timeout=(CONNECT_TIMEOUT, timeout),
                    allow_redirects=False,
                    stream=True,
                ) as response,
            ):
                came = Body(response.headers, call.largest_answer)
                for chunk in response.raw.stream(_CHUNK, decode_content=False):
                    came.add(chunk)
                deadline.check()
        except requests.RequestException as exc:
            error = call.no_answer if was_sent(exc, tracked) else call.never_sent
            raise error(reason(exc)) from None
        except (HTTPError, HTTPException, OSError, ValueError) as exc:  # while the body comes, or of a wild header
            raise call.no_answer(exc) from None
        except BodyError as exc:
            raise call.no_answer(f"the answer is not read: {exc}") from None
        self._compare_clocks(clocks.ahead(response.headers, datetime.now(tz=UTC)))
        return call.read(response.status_code, response.headers, came.whole())

    def _compare_clocks(self, ahead: timedelta) -> None:
        if abs(ahead) > clocks.NOTICEABLE >= abs(self._clock_ahead):
            self.log.warning(
                "%s. Jobs are told from each other by their times: set the clock.", clocks.difference(ahead)
            )
        self._clock_ahead = ahead

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0
        self.log.warning("%s Trying again in %.1f s.", error, seconds)


def _may_repeat(call: Call[Any], error: SegmindError) -> bool:
    """Whether to send again in place: not where a rate limit is reset later than a worker may be held for it."""
    if isinstance(error, SegmindRateLimitError) and error.reset_at and _seconds_to(error.reset_at) > LONGEST_PAUSE:
        return False
    return call.may_repeat_after(error)


def _seconds_to(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(tz=UTC)).total_seconds()


def _pause(state: RetryCallState) -> float:
    """Wait for a rate limit's window to open, else back off; both with jitter, so that tasks spread."""
    from tenacity import wait_random, wait_random_exponential

    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, SegmindRateLimitError) and error.reset_at:
        return max(_seconds_to(error.reset_at), 0.0) + wait_random(0, 1)(state)
    return wait_random_exponential(multiplier=0.5, max=20)(state)


def _data_url(file: Path) -> str:
    from airflow_provider_kling.storage.open_files import UnfitFileError
    from airflow_provider_kling.uploads.source_files import stage

    try:
        staged = stage(str(file))
    except UnfitFileError as exc:
        raise SegmindInputError(f"upload: {str(file)!r} {exc}. Nothing was uploaded.") from exc
    with staged.copy as copy:
        copy.seek(0)
        return f"data:{staged.type.mime};base64,{base64.b64encode(copy.read()).decode()}"
