"""
Sends one request of the hook, again where that is allowed, until it has its final answer.

It carries bytes between a call of :mod:`airflow_provider_kling.segmind.protocol` and a socket; its only decision is
when to send again. What must not be relaxed:

* A POST is sent once. It is sent again only if nothing of it left this machine.
* No redirect is followed.

Imported with the first request, because ``requests`` is slow to import.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeVar

import requests
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random,
    wait_random_exponential,
)
from urllib3.exceptions import HTTPError

from airflow_provider_kling.hooks.response_body import Body, BodyError
from airflow_provider_kling.hooks.segmind_session import TrackedBody, reason, was_sent
from airflow_provider_kling.segmind import clock as clocks
from airflow_provider_kling.segmind.errors import SegmindError, SegmindRateLimitError
from airflow_provider_kling.segmind.settings import CONNECT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from airflow_provider_kling.hooks.segmind_session import SegmindSession
    from airflow_provider_kling.segmind.call import Call

T = TypeVar("T")

#: Seconds that a worker waits for the reset of a rate limit; a later reset is an error that names the time.
LONGEST_PAUSE = 20.0
#: The slowest upload of a request's body, in bytes per second, so that a large file may take longer: a megabit.
SLOWEST_UPLOAD = 125_000
#: Bytes of an answer that are read at a time.
_CHUNK = 64 * 1024


def send(
    session: SegmindSession,
    call: Call[T],
    base_url: str,
    *,
    timeout: float,
    attempts: int,
    compare_clocks: Callable[[timedelta], None],
    wait_for_turn: Callable[[], None],
    log: Any,
) -> T:
    """
    Send a request, again where that costs nothing; return what its answer is read to.

    :param base_url: of the call's host.
    :param timeout: seconds to wait for the answer, once connected.
    :param attempts: how often it is sent at most.
    :param compare_clocks: called with how far this machine's clock is ahead of the answer's.
    :param wait_for_turn: called before it is sent, each time; raises if its turn is too late.
    :raises SegmindError: the error of the last attempt.
    """
    body = call.encoded_body()

    def send_once() -> T:
        wait_for_turn()
        tracked = TrackedBody(body) if body is not None else None
        try:
            with (
                session.within(CONNECT_TIMEOUT + timeout + len(body or b"") / SLOWEST_UPLOAD) as deadline,
                session.request(
                    call.method,
                    base_url + call.path,
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
        except (HTTPError, HTTPException, OSError, ValueError) as exc:  # in the body, or from a bad header
            raise call.no_answer(exc) from None
        except BodyError as exc:
            raise call.no_answer(f"the answer is not read: {exc}") from None
        compare_clocks(clocks.ahead(response.headers, datetime.now(tz=UTC)))
        return call.read(response.status_code, response.headers, came.whole())

    def warn(state: RetryCallState) -> None:
        seconds = state.next_action.sleep if state.next_action else 0
        log.warning("%s Trying again in %.1f s.", _error(state), seconds)

    answer: T = Retrying(
        retry=retry_if_exception(lambda exc: isinstance(exc, SegmindError) and _may_repeat(call, exc)),
        wait=_pause,
        stop=stop_after_attempt(attempts),
        before_sleep=warn,
        reraise=True,
    )(send_once)
    return answer


def _may_repeat(call: Call[Any], error: SegmindError) -> bool:
    """Whether to send again here: not if a rate limit is reset later than a worker may wait for it."""
    if isinstance(error, SegmindRateLimitError) and error.reset_at and _seconds_to(error.reset_at) > LONGEST_PAUSE:
        return False
    return call.may_repeat_after(error)


def _seconds_to(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(tz=UTC)).total_seconds()


def _pause(state: RetryCallState) -> float:
    """Wait for a rate limit's window to open, else back off; both with jitter, so that tasks spread."""
    error = _error(state)
    if isinstance(error, SegmindRateLimitError) and error.reset_at:
        return max(_seconds_to(error.reset_at), 0.0) + wait_random(0, 1)(state)
    return wait_random_exponential(multiplier=0.5, max=20)(state)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
