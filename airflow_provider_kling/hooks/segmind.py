"""
The hook for workers: the protocol over ``requests``. The hook for triggers is in ``segmind_async``.

What must not be relaxed: the API key goes to the connection's own hosts only, and a paid request is never sent again
with another key.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
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
    SegmindRequestNotFoundError,
)
from airflow_provider_kling.segmind.identifiers import checked_request_id, id_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import requests

    from airflow_provider_kling.hooks.segmind_session import SegmindSession
    from airflow_provider_kling.hooks.shared_turns import WorkerTurns
    from airflow_provider_kling.segmind.call import Call
    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.segmind.schemas import Credits, Generation, ListedModel, Receipt, Result, Status
    from airflow_provider_kling.segmind.settings import Settings

__all__ = ["SegmindAsyncHook", "SegmindHook"]

T = TypeVar("T")

#: How often a request that may be repeated is sent at most.
MAX_ATTEMPTS = 5
#: Seconds that the blocking v1 call may take; the slowest Kling model takes 13 minutes on average.
BLOCKING_TIMEOUT = 1800.0
#: Bytes of a file that are encoded at a time.
_BLOCK = 1024**2


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
        """Return how the standard fields look, for Airflow below 3.2."""
        behaviour = {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}
        return {**behaviour, "hidden_fields": [*behaviour["hidden_fields"], "extra"]}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the connection's own form fields, for Airflow 2."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import BooleanField, StringField

        return {
            name: BooleanField(field["label"], description=field["description"])
            if "boolean" in field["schema"]["type"]
            else StringField(field["label"], widget=BS3TextFieldWidget(), description=field["description"])
            for name, field in CONNECTION_FIELDS.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what holds the key: a copy reads the connection again."""
        return {name: value for name, value in vars(self).items() if name not in {"settings", "_session", "_turns"}}

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
        """Return the session: it sends the key to the connection's hosts only, and follows no redirect."""
        return self._session

    def submit(self, model: str, payload: Mapping[str, Any]) -> Receipt:
        """
        Start a job. Each accepted one is billed when it completes and cannot be cancelled.

        :param model: the model's slug.
        :param payload: the model's parameters, sent as they are: check them with a payload class first.
        :raises SegmindAmbiguousSubmitError: sent, but the outcome is unknown; search the history before sending again.
        :raises SegmindError: refused or never sent. A gateway may answer 429, 500 or 503 for a request that it has
            passed on: after these, search the history before sending again.
        """
        return self._send(protocol.submit(model, payload))

    def get_status(self, request_id: str) -> Status:
        """Return a job's status; FAILED is an answer, not an error."""
        return self._send(protocol.status(request_id))

    def get_result(self, request_id: str) -> Result:
        """
        Return a job's output, with its files in ``urls``; a job that runs or FAILED has none.

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

        Whoever knows an address can read the file, and Segmind offers no way to delete it. A file's type is detected by
        its first bytes, whatever its name; the caller decides which files may be uploaded.

        :raises SegmindInputError: a file is missing, too large, or not a picture, video or sound; nothing was sent.
        """
        if isinstance(files, str | Path):
            files = [files]
        return list(self._send(protocol.upload([_data_url(Path(file).absolute()) for file in files])).urls)

    def upload_file(self, file: IO[bytes], mime: str) -> str:
        """Upload one open file from its beginning, and return its address; memory holds its base64 once."""
        file.seek(0)
        call = protocol.upload_file(mime, iter(lambda: file.read(_BLOCK), b""))
        return self._send(call).urls[0]

    def find_requests(self, *, model: str | None, since: datetime, until: datetime | None = None) -> list[HistoryRow]:
        """
        Return this account's jobs of one model, newest first, one row each.

        :param model: the model's slug; None asks for all models.
        :param since: the earliest creation time, with its time zone, however long ago.
        :param until: the latest creation time; by default now, with a day to spare. Rows without a time, and rows
            without a time zone that may fit, are included.
        :raises SegmindClockError: this machine's clock and Segmind's are more than five minutes apart.
        """
        from airflow_provider_kling.hooks.history_pages import rows

        return rows(self._send, self._check_clock, model=model, since=since, until=until)

    def find_request(self, request_id: str, *, timeout: float | None = None, attempts: int = MAX_ATTEMPTS) -> Result:
        """
        Return what the request history says about a job of any age: its state, its file and its cost.

        :param timeout: seconds to wait for the answer, at most the connection's.
        :param attempts: how often to ask if no answer comes.
        :raises SegmindRequestNotFoundError: this account never made it.
        """
        longest = self.settings.timeout if timeout is None else min(timeout, self.settings.timeout)
        return self._look_up(request_id, protocol.past_request, timeout=longest, attempts=attempts)

    def find_row(
        self, request_id: str, *, timeout: float | None = None, attempts: int = MAX_ATTEMPTS
    ) -> HistoryRow | None:
        """
        Return the history's row of a job of any age: what was sent, and when; for several outputs, the first row.

        :param timeout: seconds to wait for the answer, at most the connection's.
        :param attempts: how often to ask if no answer comes.
        :raises SegmindRequestNotFoundError: this account never made it.
        """
        longest = self.settings.timeout if timeout is None else min(timeout, self.settings.timeout)
        page = self._look_up(request_id, protocol.past_rows, timeout=longest, attempts=attempts)
        return next(iter(page.rows), None)

    def _look_up(self, request_id: str, call: Callable[[str], Call[T]], **how: Any) -> T:
        """Ask the history for a job, in each form that its id may have there."""
        forms = id_forms(checked_request_id(request_id))
        for form in forms[:-1]:
            with suppress(SegmindRequestNotFoundError):
                return self._send(call(form), **how)
        return self._send(call(forms[-1]), **how)

    def list_models(self) -> list[ListedModel]:
        """Return every model that Segmind serves now, Kling's and others', from its public list."""
        return list(self._send(protocol.model_list()).models)

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the balance, which costs nothing, and say what caused a failure."""
        try:
            balance = self._send(protocol.credit_balance(), attempts=1)
        except SegmindError as error:
            return False, str(error)
        return True, f"Segmind accepts the key. Balance: ${balance.total:.2f}"

    def _send(self, call: Call[T], *, timeout: float | None = None, attempts: int = MAX_ATTEMPTS) -> T:
        try:
            return self._sent(call, timeout, attempts)
        except SegmindAuthenticationError:
            # A key may be rotated while a worker waits; a paid request is never sent with another one.
            if call.method != "GET" or not self._has_another_key():
                raise
        return self._sent(call, timeout, attempts)

    def _sent(self, call: Call[T], timeout: float | None, attempts: int) -> T:
        from airflow_provider_kling.hooks.send import send

        return send(
            self._session,
            call,
            self.settings.base_url(call.host),
            timeout=timeout or self.settings.timeout,
            attempts=attempts,
            compare_clocks=self._compare_clocks,
            wait_for_turn=self._turns.wait,
            log=self.log,
        )

    @cached_property
    def _turns(self) -> WorkerTurns:
        from airflow_provider_kling.hooks.shared_turns import WorkerTurns

        return WorkerTurns(self.settings, self.log)

    def _has_another_key(self) -> bool:
        """Read the connection again; return whether its key has changed, and nothing else."""
        before = self.settings
        del self.settings
        if self.settings.api_key == before.api_key or replace(self.settings, api_key=before.api_key) != before:
            self.settings = before
            return False
        del self._session
        vars(self).pop("_turns", None)
        return True

    def _compare_clocks(self, ahead: timedelta) -> None:
        if abs(ahead) > clocks.NOTICEABLE >= abs(self._clock_ahead):
            self.log.warning("%s. Jobs are identified by their times: set the clock.", clocks.difference(ahead))
        self._clock_ahead = ahead

    def _check_clock(self) -> None:
        clocks.check(self._clock_ahead)


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
