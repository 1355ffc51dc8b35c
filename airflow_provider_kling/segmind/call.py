"""
One request to Segmind's HTTP API without the HTTP: what to send, and how to read the answer.

A hook only carries bytes. So the sync and the async hook behave alike, and each rule is tested without a socket.

What must not be relaxed:

* A job is judged by the ``status`` in the body. FAILED comes as 422; an answer with any other error code is a gateway's
  own, whatever state its body names.
* A paid call that was sent and has no clear answer raises :class:`SegmindAmbiguousSubmitError`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.json_values import unsendable
from airflow_provider_kling.segmind.refusals import (
    About,
    Answer,
    Question,
    ambiguous,
    cached,
    cached_for,
    refusal,
    unreadable,
)
from airflow_provider_kling.segmind.sanitize import fit_body, fit_text, one_line
from airflow_provider_kling.segmind.schemas import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

#: The largest answer about one job or the account that is read, in bytes; the longest has some 20 KB.
LARGEST_ANSWER = 256 * 1024
#: Seconds for which a cache on the way may have stored an answer that has to be fresh.
OLDEST_ANSWER = 10


class Host(StrEnum):
    """Which of the connection's hosts answers a call; the value is its name in the settings."""

    API = "host"
    HISTORY = "history_host"
    STORAGE = "storage_host"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """
    One request and how to read its answer.

    :param method: ``GET`` or ``POST``.
    :param path: below the host, beginning with a slash.
    :param question: what is asked, for the messages of its errors.
    :param reader: turns a good answer into ``T``; a ``ValueError`` says that it cannot be read.
    :param host: which of the connection's hosts.
    :param query: query parameters.
    :param json_body: what is sent as JSON; None sends no body.
    :param written_body: the encoded body, if it is too large to be encoded as JSON in one go.
    :param largest_answer: bytes of an answer that are read.
    :param fresh: whether an answer from a cache is refused: what it does not show may exist by now.
    """

    method: str
    path: str
    question: Question
    reader: Callable[[Answer], T]
    host: Host = Host.API
    query: Mapping[str, str] = field(default_factory=dict)
    json_body: Any = None
    written_body: bytes | None = None
    largest_answer: int = LARGEST_ANSWER
    fresh: bool = False

    def may_repeat_after(self, error: errors.SegmindError) -> bool:
        """Whether it may be sent again at once: a GET after any temporary fault, a POST only if it was never sent."""
        if isinstance(error, errors.SegmindConnectionError) and not error.sent:
            return True
        passing = (errors.SegmindConnectionError, errors.SegmindRateLimitError, errors.SegmindServerError)
        return self.method == "GET" and isinstance(error, passing)

    def encoded_body(self) -> bytes | None:
        """
        Return the body as sent.

        :raises KlingPayloadError: the payload is not JSON; nothing was sent.
        """
        if self.json_body is None:
            return self.written_body
        if fault := unsendable(self.json_body):
            place, words = fault
            raise errors.KlingPayloadError(f"payload: {place}{': ' if place else ''}{words}.")
        return json.dumps(self.json_body, allow_nan=False).encode()

    def read(self, status_code: int, headers: Mapping[str, str], body: bytes) -> T:
        """
        Return what the answer says.

        :raises SegmindError: any other answer than a good one; the class is from the error table.
        """
        fit_headers = {name.lower(): fit_text(value) for name, value in headers.items()}
        if status_code >= HTTPStatus.MULTIPLE_CHOICES:  # no error has more to say, whatever a good answer may have
            body = body[:LARGEST_ANSWER]
        answer = Answer(status_code, fit_headers, fit_body(body))
        if self.fresh and (age := cached_for(answer)) > OLDEST_ANSWER:
            raise cached(self.question, age)
        if status_code >= HTTPStatus.MULTIPLE_CHOICES and not self._tells_of_a_job(answer):
            raise refusal(self.question, answer)
        try:
            return self.reader(answer)
        except ValidationError as exc:
            first = exc.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise unreadable(
                self.question, answer, one_line(f"{place}: {first['msg']}" if place else first["msg"])
            ) from None
        except ValueError as exc:
            raise unreadable(self.question, answer, one_line(exc)) from None

    def never_sent(self, reason: object) -> errors.SegmindError:
        """Return the error for a request that never left this machine."""
        return errors.SegmindConnectionError(
            f"Could not {self.question.purpose}: no connection to Segmind ({one_line(reason)}). Nothing was "
            "sent; check the network, the proxy and the connection's host.",
            request_id=self.question.request_id,
            sent=False,
        )

    def no_answer(self, reason: object) -> errors.SegmindError:
        """Return the error for a request that was sent, at least in part, and got no answer."""
        if self.question.bills:
            return ambiguous(self.question, f"no answer came back ({one_line(reason)})")
        return errors.SegmindConnectionError(
            f"Could not {self.question.purpose}: no answer from Segmind ({one_line(reason)}). Nothing is lost; "
            "ask again.",
            request_id=self.question.request_id,
            sent=True,
        )

    def _tells_of_a_job(self, answer: Answer) -> bool:
        """Whether an error answer is nevertheless a job's status."""
        if self.question.about is not About.REQUEST or self.host is not Host.API:
            return False
        if answer.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
            return False
        try:
            Status.model_validate_json(answer.body)
        except ValidationError:
            return False
        return True
