"""
What to ask next about a job, and what the answer means: the one decision behind the sensor's modes and the trigger.

The sensor and the trigger only ask, wait, and pass on the answers with the time. So poke, reschedule and deferrable
behave alike.

What must not be relaxed:

* The API no longer knows a job an hour after it was submitted. So a job that it does not know is searched for in the
  request history, which has it, before it counts as lost.
* A missed deadline does not affect the job. It runs on, is billed, and can be waited for again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.polling.wait import BELIEVED_AFTER, GiveUp, PollAgain, Wait
from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.clock import CLOCK_SKEW, LATEST_ROW
from airflow_provider_kling.segmind.failed_job import failure
from airflow_provider_kling.segmind.sanitize import one_line, shortened
from airflow_provider_kling.segmind.schemas import JobStatus, Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_kling.segmind.schemas import Status


#: How often a result without an output is requested again before the history is searched for its file.
EMPTY_RESULTS = 3
#: Characters of a result without a file that is held between polls; each poll reads it again.
LONGEST_HELD = 4096
_EMPTY = "it was COMPLETED without a file"


class Question(Enum):
    """What can be asked about a job."""

    STATUS = auto()
    RESULT = auto()
    HISTORY = auto()


@dataclass(frozen=True, slots=True)
class Ask:
    """Send this request at once: one poll may take more than one."""

    question: Question


@dataclass(frozen=True, slots=True)
class Done:
    """The wait is over, with this result."""

    result: Result


Decision = Ask | PollAgain | Done | GiveUp


@dataclass(slots=True)
class ResultAddress:
    """
    What was learned about a connection.

    :param tells_status: whether the result's address also answers for a running job, which is not documented: then one
        request gives both. None until it was tried.
    """

    tells_status: bool | None = None


#: For waits that cannot remember what they learned until the next poll: the documented way, the status first.
PUBLISHED = ResultAddress(tells_status=False)


@dataclass(slots=True, kw_only=True)
class JobWait(Wait):
    """
    One wait for one job.

    :param request_id: the job.
    :param pause: returns how many seconds to wait after a poll.
    :param model: the model's slug, for messages, where it is known.
    :param submitted_at: when the job was submitted, with its time zone, where that is known: Segmind may not know a new
        job yet.
    :param usual_latency: how many seconds the model usually takes, for the log.
    :param interval: a fixed number of seconds from one poll to the next, for the log.
    :param address: what is known about the connection; what is learned is stored there.
    """

    request_id: str
    pause: Callable[[datetime], float]
    model: str | None = None
    submitted_at: datetime | None = None
    usual_latency: float | None = None
    interval: float | None = None
    address: ResultAddress = field(default_factory=lambda: PUBLISHED)
    failed_polls: int = 0
    unknown: int = 0
    empty_results: int = 0
    empty: Result | None = None
    lookups_without_file: int = 0
    last_status: JobStatus | None = None
    _asked: list[Question] = field(default_factory=list)

    def poll(self) -> Ask:
        """Begin a poll."""
        self._asked.clear()
        return self._ask(Question.STATUS if self.address.tells_status is False else Question.RESULT)

    def after_answer(self, state: Status, *, now: datetime) -> Decision:
        """
        Decide after an answer.

        The result may lag behind the status for a moment.
        """
        self._learn(state)
        ends = self.empty is not None or state.status is JobStatus.COMPLETED
        if ends and isinstance(state, Result) and self._asked[-1] is Question.HISTORY:
            return self._file_of_history(self.empty or state, state, now)
        if isinstance(state, Result) or state.status is not JobStatus.COMPLETED:  # else the result may still fail
            self.failed_polls = self.refusals = self.unknown = 0
        self.last_status = state.status
        match state.status:
            case JobStatus.COMPLETED:
                return self._completed(state, now) if isinstance(state, Result) else self._ask(Question.RESULT)
            case JobStatus.FAILED:
                return GiveUp(failure(self.request_id, state, self.model))
            case _:
                return self._again(self.pause(now), now, f"it was {state.status} at the last poll")

    def _completed(self, result: Result, now: datetime) -> Decision:
        """Decide on a result: one that is still being written may have no file yet; then the history may have it."""
        if result.urls:
            return Done(result)
        self.empty = result
        self.empty_results += 1
        if self.empty_results > EMPTY_RESULTS or now >= self.deadline:
            return self._ask(Question.HISTORY)
        self.empty = _slim(result)
        return self._doubt(now, _EMPTY, "It is COMPLETED, without a file yet.")

    def _file_of_history(self, empty: Result, state: Result, now: datetime) -> Decision:
        """Decide on what the history says about a job that has a result without a file, or none any more."""
        self.empty = empty
        is_whole = state.status is JobStatus.COMPLETED and not _is_blank(empty.output)  # such as a voice
        if state.urls or is_whole:
            return Done(empty.model_copy(update={"urls": state.urls}))
        return self._without_file(empty, now, "The request history has no file of it yet.")

    def _without_file(self, empty: Result, now: datetime, concern: str) -> Decision:
        """Decide if the history has no file either; a finished job is delivered, and never times out."""
        self.lookups_without_file += 1
        if self.lookups_without_file > EMPTY_RESULTS or now >= self.deadline:
            return Done(empty)
        self.empty = _slim(empty)
        return self._doubt(now, _EMPTY, concern)

    def after_error(self, error: errors.SegmindError, *, now: datetime) -> Decision:
        """Decide after a request that failed."""
        unknown = isinstance(error, errors.SegmindRequestNotFoundError)
        tries_out = self._asked == [Question.RESULT] and self.address.tells_status is None
        if tries_out and isinstance(error, (errors.SegmindRequestNotFoundError, errors.SegmindBadRequestError)):
            return self._ask(Question.STATUS)
        if unknown and self._asked[-1] is not Question.HISTORY:
            return self._ask(Question.HISTORY)
        if self._asked[-1] is Question.HISTORY and self.empty is not None:
            return self._without_file(self.empty, now, str(error))
        self.failed_polls += 1
        if unknown:
            return self._unknown(now)
        seen = f"the last {self.failed_polls} poll(s) failed: {error}"
        self.unknown = 0
        return self._after_failure(error, self.pause(now), now, seen)

    def _unknown(self, now: datetime) -> Decision:
        """Decide if neither the API nor the history knows the job."""
        self.refusals = 0
        if self.submitted_at is not None and -CLOCK_SKEW <= now - self.submitted_at < LATEST_ROW:
            seen = "Segmind did not know the job yet, which was submitted a moment ago"
            return self._again(self.pause(now), now, seen, concern=f"{seen}.")
        self.unknown += 1
        if self.unknown >= BELIEVED_AFTER:
            return GiveUp(self._lost())
        seen = "Segmind did not know the job, and neither did its request history"
        return self._doubt(now, seen, f"{seen}.")

    def _doubt(self, now: datetime, seen: str, concern: str) -> PollAgain | GiveUp:
        """Continue, but the same answer several times in a row ends the wait."""
        return self._again(self.pause(now), now, seen, concern, in_doubt=True)

    def begun(self) -> str:
        """Return the log's first line: the job, its status, the deadline, and how long it usually takes."""
        about = ", ".join(filter(None, [one_line(self.model or ""), self.last_status]))
        return (
            f"Waiting for request {self.request_id}{f' ({about})' if about else ''} until "
            f"{self.deadline:%Y-%m-%d %H:%M:%S %Z}."
            + (f" It usually takes {self.usual_latency:.0f} s." if self.usual_latency else "")
            + (f" Polling every {self.interval:g} s." if self.interval else "")
        )

    def timed_out(self, last_seen: str) -> errors.KlingGenerationTimeoutError:
        """Return the error for a deadline that has passed."""
        what = f"Request {self.request_id}" + (f" ({self.model})" if self.model else "")
        return errors.KlingGenerationTimeoutError(
            f"{what} was not done by {self.deadline:%Y-%m-%d %H:%M:%S %Z} ({last_seen}). It still runs and is still "
            "billed. A retry, or clearing this task, continues to wait for the same job and sends nothing; give it "
            "a longer timeout.",
            request_id=self.request_id,
        )

    def _ask(self, question: Question) -> Ask:
        self._asked.append(question)
        return Ask(question)

    def _learn(self, state: Status) -> None:
        """Learn from a running job which of its addresses answers."""
        asked = self._asked[-1]
        if self.address.tells_status is None and not state.status.is_terminal and asked is not Question.HISTORY:
            self.address.tells_status = asked is Question.RESULT

    def _lost(self) -> errors.SegmindRequestNotFoundError:
        return errors.SegmindRequestNotFoundError(
            f"Segmind does not know request {self.request_id}, and neither does its request history: it was not made "
            "with this connection's key. Nothing is charged for asking. Correct request_id or segmind_conn_id, then "
            "clear this task.",
            request_id=self.request_id,
            status_code=404,
        )


def _slim(result: Result) -> Result:
    """Return a result without a file as it is held between polls: thousands of waits must not hold long outputs."""
    if len(result.model_dump_json()) <= LONGEST_HELD:
        return result
    return Result(status=result.status, metrics=result.metrics)


def _is_blank(output: Any) -> bool:
    """Return whether an output holds no value at all."""
    match output:
        case dict():
            return all(map(_is_blank, output.values()))
        case list():
            return all(map(_is_blank, output))
        case _:
            return output in {None, ""}


def summary(request_id: str, result: Result, *, is_reused: bool = False) -> str:
    """
    Return the log's last line: what it cost, how long it took, where the file is.

    :param is_reused: whether it was sent for the same before, and costs nothing now.
    """
    metrics = result.metrics
    cost = "cost unknown" if metrics.cost is None else f"${metrics.cost:.3f}"
    cost = f"used again, nothing is paid; {cost} then" if is_reused else cost
    known = metrics.queue_time is not None and metrics.inference_time is not None
    took = f", {metrics.queue_time:.0f} s queued, {metrics.inference_time:.0f} s running" if known else ""
    if result.url is None:
        return (
            f"Request {request_id} is COMPLETED ({cost}{took}), but no file is recognised in its output; it is in the "
            f"return value: {one_line(result.output)}"
        )
    return f"Request {request_id} is COMPLETED ({cost}{took}): {shortened(result.url)}"
