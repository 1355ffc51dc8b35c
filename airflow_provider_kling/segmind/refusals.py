"""
Which error an unsuccessful answer means: the error table as code.

Segmind has no symbolic error codes, so status, headers and wording are all there is. Most 4xx, and a 500 or 503 with
JSON in it, are refusals, which are safe to send again. Anything else may come from a gateway that gave up on an
accepted job, so on a paid call it is an ambiguous outcome.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.clock import rate_limit_reset
from airflow_provider_kling.segmind.sanitize import excerpt, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping


_SPEND_LIMIT = re.compile(r"spend\w*[\s_-]*(limit|cap)", re.IGNORECASE)
_NO_CREDITS = re.compile(r"\b(insufficient|not enough|no|out of)\b[^.]{0,20}\bcredits?\b", re.IGNORECASE)
_BALANCE = re.compile(r"(?:balance|have|available|remaining)\D{0,20}(\d+(?:\.\d+)?)", re.IGNORECASE)
_NEEDED = re.compile(r"(?:need|requir|cost)\D{0,20}(\d+(?:\.\d+)?)", re.IGNORECASE)


_MAY_BE_ACCEPTED = (
    "This answer is not in Segmind's form, so the next attempt reads the request history before it submits."
)
# An age in seconds, the first where there are several; more digits are longer than any time.
_AGE = re.compile(r"\s*([0-9]{1,9})")
# Redirects that ask for the same request elsewhere: this one was not acted on. After a 302 or 303 it may have been.
_NOT_FOLLOWED = {301, 307, 308}
# Statuses of gateways that gave up on a request that they may have passed on.
_GIVEN_UP = {408, 409, 425, 499}


class About(StrEnum):
    """What a 404 says is missing."""

    MODEL = "model"
    REQUEST = "request"
    ACCOUNT = "account"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: header names in lower case, ``body`` free of any content encoding."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Question:
    """
    What was requested, for the messages of errors.

    :param purpose: as a message says it: "submit kling-o1".
    :param bills: whether an accepted request costs money.
    :param about: what a 404 says is missing.
    :param subject: the model's slug or the request id.
    """

    purpose: str
    bills: bool = False
    about: About = About.ADDRESS
    subject: str | None = None

    @property
    def request_id(self) -> str | None:
        """The job asked about, where there is one."""
        return self.subject if self.about is About.REQUEST else None


def refusal(question: Question, answer: Answer) -> errors.SegmindError:
    """Return the error for an answer with a status of 300 or more."""
    words = error_text(answer)
    said = f"HTTP {answer.status_code}: {words}" if words else f"HTTP {answer.status_code} with an empty body"
    if question.bills and not _is_refused(answer):
        return ambiguous(question, f"a gateway answered in Segmind's place ({said})", answer)
    error_class, advice, more = _meaning(question, answer, words)
    may_be_accepted = question.bills and not _has_segminds_form(answer)
    if may_be_accepted:
        advice = f"{advice.replace(' Nothing was charged.', '')} {_MAY_BE_ACCEPTED}"
    error = error_class(
        f"Could not {question.purpose}. {advice} ({said})",
        request_id=question.request_id,
        status_code=answer.status_code,
        body=excerpt(answer.body),
        **more,
    )
    error.may_be_accepted = may_be_accepted
    return error


def _meaning(question: Question, answer: Answer, words: str) -> tuple[type[errors.SegmindError], str, dict[str, Any]]:
    """Return the class of an error answer, what to do about it, and the facts that the class adds."""
    code = answer.status_code
    more: dict[str, Any] = {}
    match code:
        case _ if code < HTTPStatus.BAD_REQUEST:
            target = answer.headers.get("location", "nowhere")[:200]
            error_class: type[errors.SegmindError] = errors.SegmindResponseError
            advice = (
                f"The host redirects to {target!r}, which is not followed because the API key goes to the "
                "connection's own hosts only; correct the connection's host."
            )
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            error_class, advice = _not_allowed(answer)
        case HTTPStatus.PAYMENT_REQUIRED:
            error_class = errors.SegmindInsufficientCreditsError
            advice = "The balance does not cover it; top up at Segmind, then clear the task. Nothing was charged."
        case HTTPStatus.NOT_FOUND:
            error_class, advice = _not_found(question)
        case HTTPStatus.NOT_ACCEPTABLE:
            error_class, advice, more = _not_acceptable(words)
        case HTTPStatus.GONE if question.about is About.MODEL:
            error_class = errors.SegmindModelRetiredError
            advice = f"Segmind has retired {question.subject!r}; choose its successor. Nothing was charged."
        case HTTPStatus.TOO_MANY_REQUESTS:
            reset_at = rate_limit_reset(answer.headers)
            more = {"reset_at": reset_at.isoformat() if reset_at else None}
            error_class = errors.SegmindRateLimitError
            until = f"until {reset_at:%Y-%m-%d %H:%M:%S} UTC" if reset_at else "for now"
            advice = (
                f"The plan's requests per minute are used up {until}; "
                "run fewer tasks at once (an Airflow pool) or take a larger plan. Nothing was charged."
            )
        case _ if code in _GIVEN_UP:
            error_class = errors.SegmindServerError
            advice = "A gateway gave up on it; try again later."
        case _ if code < HTTPStatus.INTERNAL_SERVER_ERROR:
            error_class = errors.SegmindBadRequestError
            advice = "Segmind refuses the request as it is; change what its words name. Nothing was charged."
        case HTTPStatus.INTERNAL_SERVER_ERROR | HTTPStatus.SERVICE_UNAVAILABLE:
            error_class = errors.SegmindServerError
            advice = "Segmind has a fault; try again later. Nothing was charged."
        case _:
            error_class = errors.SegmindServerError
            advice = "Segmind does not answer behind its gateway; try again later."
    return error_class, advice, more


def _is_refused(answer: Answer) -> bool:
    """Whether a paid call with this answer has led to no job: Segmind refused it, or it was never processed."""
    match answer.status_code:
        case HTTPStatus.INTERNAL_SERVER_ERROR | HTTPStatus.SERVICE_UNAVAILABLE:
            return isinstance(_document(answer), dict)
        case code if code < HTTPStatus.BAD_REQUEST:
            return code in _NOT_FOLLOWED
        case code:
            return code < HTTPStatus.INTERNAL_SERVER_ERROR and code not in _GIVEN_UP


def _has_segminds_form(answer: Answer) -> bool:
    """Return whether an error answer is JSON with an ``error``, as all of Segmind's but its 405 are."""
    document = _document(answer)
    return isinstance(document, dict) and isinstance(document.get("error"), str)


def _document(answer: Answer) -> Any:
    """Return the body's JSON, or None if it has none."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None


def unreadable(question: Question, answer: Answer, reason: str) -> errors.SegmindError:
    """Return the error for a successful answer with a body that is not what the API promises."""
    shown = excerpt(answer.body) or "an empty body"
    if question.bills:
        return ambiguous(question, f"the answer (HTTP {answer.status_code}) cannot be read ({reason}): {shown}", answer)
    return errors.SegmindResponseError(
        f"Could not {question.purpose}: HTTP {answer.status_code} is not what the API promises ({reason}): {shown}",
        request_id=question.request_id,
        status_code=answer.status_code,
        body=excerpt(answer.body),
    )


def ambiguous(question: Question, what: str, answer: Answer | None = None) -> errors.SegmindError:
    """Return the error for a paid call that was sent and has no clear answer."""
    return errors.SegmindAmbiguousSubmitError(
        f"Sent {question.subject} to Segmind, and {what}. The job may be running and will then be billed; "
        "look for it in Segmind's request history before you submit it again.",
        status_code=answer.status_code if answer else None,
        body=excerpt(answer.body) if answer else None,
    )


def cached_for(answer: Answer) -> int:
    """Return for how many seconds a cache has stored an answer, from its ``Age`` header; 0 if it has none."""
    told = _AGE.match(answer.headers.get("age", ""))
    return int(told[1]) if told else 0


def cached(question: Question, age: int) -> errors.SegmindServerError:
    """Return the error for an answer from a cache, which may be out of date."""
    return errors.SegmindServerError(
        f"Could not {question.purpose}. A cache answered with a copy that is {age} s old; "
        "let the proxy or gateway store nothing of Segmind's hosts.",
        request_id=question.request_id,
    )


def error_text(answer: Answer) -> str:
    """Return Segmind's own words in an error answer, else the first part of the body."""
    document = _document(answer)
    if isinstance(document, dict):
        for key in ("error_description", "error", "message", "detail"):
            words = document.get(key)
            if isinstance(words, str) and words.strip():
                return one_line(words)
    return excerpt(answer.body)


def _not_allowed(answer: Answer) -> tuple[type[errors.SegmindError], str]:
    if answer.body.lstrip().startswith(b"<"):  # Segmind answers with JSON
        return (
            errors.SegmindResponseError,
            "A gateway's page came in place of Segmind's answer, which says nothing of the key; try again later.",
        )
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return (
            errors.SegmindAuthenticationError,
            "Segmind does not accept the API key; correct the connection's password.",
        )
    return (
        errors.SegmindPermissionError,
        "The account or team behind the API key may not do this; ask the workspace's owner.",
    )


def _not_found(question: Question) -> tuple[type[errors.SegmindError], str]:
    match question.about:
        case About.MODEL:
            return (
                errors.SegmindModelNotFoundError,
                f"Segmind serves no model {question.subject!r}; check the slug. Nothing was charged.",
            )
        case About.REQUEST:
            return (
                errors.SegmindRequestNotFoundError,
                "Segmind has no record of it: never made with this key, or submitted more than an hour ago.",
            )
        case About.ACCOUNT:
            return (
                errors.SegmindInsufficientCreditsError,
                "The key is good, but its workspace has no credits on record; top up at Segmind.",
            )
        case About.ADDRESS:
            return (
                errors.SegmindResponseError,
                "The host does not know this address; correct the hosts in the connection.",
            )


def _not_acceptable(words: str) -> tuple[type[errors.SegmindError], str, dict[str, Any]]:
    """Distinguish the four causes of a 406, which only their wording shows."""
    if _SPEND_LIMIT.search(words):
        return (
            errors.SegmindInsufficientCreditsError,
            "The team's spend limit does not cover it; raise the limit, then clear the task. Nothing was charged.",
            {},
        )
    if _NO_CREDITS.search(words):
        amounts = {"balance": _BALANCE.search(words), "needed": _NEEDED.search(words)}
        return (
            errors.SegmindInsufficientCreditsError,
            "The balance does not cover it; top up at Segmind, then clear the task. Nothing was charged.",
            {name: float(found.group(1)) for name, found in amounts.items() if found},
        )
    return (
        errors.SegmindBadRequestError,
        "Segmind refuses a value or the content type; change what its words name. Nothing was charged.",
        {},
    )
