"""One look at a job from a worker, and what it comes to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.polling import Done, FetchResult, GiveUp, LookAgain, LookUp, Wait

if TYPE_CHECKING:
    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.segmind.schemas import Result


def look(hook: SegmindHook, wait: Wait) -> Result | LookAgain:
    """
    Look once: at the status, at the result once it is COMPLETED, in the history where the API has forgotten it.

    :raises SegmindError: what ends the wait.
    """
    try:
        decision = wait.after_look(hook.get_status(wait.request_id), now=_now())
        if isinstance(decision, FetchResult):
            decision = wait.after_look(hook.get_result(wait.request_id), now=_now())
    except SegmindError as error:
        decision = wait.after_error(error, now=_now())
    if isinstance(decision, LookUp):
        try:
            decision = wait.after_lookup(hook.find_request(wait.request_id), now=_now())
        except SegmindError as error:
            decision = wait.after_lookup_error(error, now=_now())
    match decision:
        case GiveUp(error=ending):
            raise ending
        case Done(result=result):
            return result
        case LookAgain():
            return decision
        case _:
            raise AssertionError(decision)


def _now() -> datetime:
    return datetime.now(tz=UTC)
