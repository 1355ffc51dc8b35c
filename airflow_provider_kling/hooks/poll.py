"""One poll of a job from a worker, and its outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_kling.polling.job_wait import Ask, Done, Question
from airflow_provider_kling.polling.wait import GiveUp, PollAgain
from airflow_provider_kling.segmind.errors import SegmindError

if TYPE_CHECKING:
    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.polling.job_wait import Decision, JobWait
    from airflow_provider_kling.segmind.schemas import Result


def poll(hook: SegmindHook, wait: JobWait) -> Result | PollAgain:
    """
    Poll once.

    :raises SegmindError: what ends the wait.
    """
    ask = {Question.STATUS: hook.get_status, Question.RESULT: hook.get_result, Question.HISTORY: hook.find_request}
    decision: Decision = wait.poll()
    while isinstance(decision, Ask):
        try:
            answer = ask[decision.question](wait.request_id)
        except SegmindError as error:
            decision = wait.after_error(error, now=datetime.now(tz=UTC))
        else:
            decision = wait.after_answer(answer, now=datetime.now(tz=UTC))
    match decision:
        case GiveUp(error=ending):
            raise ending
        case Done(result=result):
            return result
    return decision
