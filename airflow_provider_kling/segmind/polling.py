"""
What to do after each look at a job: the one decision behind the sensor's modes and the trigger.

The sensor and the trigger only wait, look and hand over what they saw, with the time. So poke,
reschedule and deferrable cannot drift apart.

What must not be relaxed:

* A look that fails says nothing about the job. It is taken again until the deadline, unless no later
  look can succeed: the key is refused, or Segmind knows nothing of the job.
* The API forgets a job an hour after it was submitted. So one that it does not know is looked up in
  the request history, which remembers it, before it is called lost.
* The deadline is a wall-clock time, because a wait may go on in another process.
* Passing the deadline leaves the job alone. It runs on, is billed, and can be waited for again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.orphans import ORPHAN_GRACE
from airflow_provider_kling.segmind.refusals import failure, one_line
from airflow_provider_kling.segmind.schemas import JobStatus, Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_kling.segmind.schemas import Status

#: Errors after which no later look can succeed.
FINAL = (errors.SegmindInputError, errors.SegmindAuthenticationError, errors.SegmindPermissionError)
#: Those that a gateway may answer in Segmind's place for a while, and after how many in a row they are believed. So is
#: that nobody knows the job.
_MAY_PASS = (errors.SegmindAuthenticationError, errors.SegmindPermissionError)
BELIEVED_AFTER = 3
#: How often a result without an output is asked for again before the history is asked for its file.
EMPTY_RESULTS = 3


@dataclass(frozen=True, slots=True)
class LookAgain:
    """
    The job goes on: look again after ``seconds``.

    ``concern`` is set when the look failed; ``in_doubt`` where the wait ends if the same is seen some times in a row.
    """

    seconds: float
    concern: str | None = None
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The job is COMPLETED: fetch its result."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """The API does not know the job, or no longer: look it up in the request history."""


@dataclass(frozen=True, slots=True)
class Done:
    """The wait is over, and this is what it was for."""

    result: Result


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The wait is over without a result."""

    error: errors.SegmindError


Decision = LookAgain | FetchResult | LookUp | Done | GiveUp


@dataclass(slots=True)
class Wait:
    """
    One wait for one job.

    :param request_id: the job.
    :param deadline: when to stop waiting, with its time zone.
    :param pause: tells how many seconds to leave the job alone after a look.
    :param model: the model's slug, for messages, where it is known.
    :param settings_until: until when a connection that cannot be read counts as a passing fault; a
        process that takes up a running wait may find its secrets backend down.
    :param submitted_at: when the job was submitted, with its time zone, where that is known: a young one may not be
        known to Segmind yet.
    """

    request_id: str
    deadline: datetime
    pause: Callable[[datetime], float]
    model: str | None = None
    settings_until: datetime | None = None
    submitted_at: datetime | None = None
    failed_looks: int = 0
    refusals: int = 0
    unknown: int = 0
    empty_results: int = 0
    failed_lookups: int = 0
    empty: Result | None = None
    last_status: JobStatus | None = None

    def after_look(self, state: Status, *, now: datetime) -> Decision:
        """
        Decide after a look that succeeded, whether it was for the status or for the result.

        The result may be behind the status for a moment.
        """
        self.unknown = 0
        if isinstance(state, Result) or state.status is not JobStatus.COMPLETED:  # else the result may still fail
            self.failed_looks = self.refusals = 0
        self.last_status = state.status
        match state.status:
            case JobStatus.COMPLETED:
                return self._completed(state, now) if isinstance(state, Result) else FetchResult()
            case JobStatus.FAILED:
                return GiveUp(failure(self.request_id, state, self.model))
            case _:
                return self._again(now, f"it was {state.status} at the last look")

    def after_lookup(self, state: Result, *, now: datetime) -> Decision:
        """Decide after the request history has told of the job; it is the last place where its file may be."""
        if self.empty is None:
            return Done(state) if state.status is JobStatus.COMPLETED else self.after_look(state, now=now)
        if state.urls or state.status is JobStatus.COMPLETED:
            return Done(self.empty.model_copy(update={"urls": state.urls}))
        return self._without_file(self.empty, now, "The request history does not tell of its end yet.")

    def _completed(self, result: Result, now: datetime) -> Decision:
        """Decide on a result: one that is just being written may have no file yet, and then the history may have it."""
        if result.urls:
            return Done(result)
        self.empty = result
        self.empty_results += 1
        if self.empty_results > EMPTY_RESULTS or now >= self.deadline:
            return LookUp()
        concern = "It is COMPLETED, without a file yet."
        return self._again(now, "it was COMPLETED without a file", concern=concern, in_doubt=True)

    def _without_file(self, result: Result, now: datetime, concern: str) -> Decision:
        """Decide where the history tells of no file either; a job that is done is delivered, and never timed out."""
        self.failed_lookups += 1
        if self.failed_lookups > EMPTY_RESULTS or now >= self.deadline:
            return Done(result)
        return self._again(now, "it was COMPLETED without a file", concern=concern, in_doubt=True)

    def after_error(self, error: errors.SegmindError, *, now: datetime) -> Decision:
        """Decide after a look that failed."""
        if isinstance(error, errors.SegmindRequestNotFoundError):
            return LookUp()
        forgiven = (
            isinstance(error, errors.SegmindSettingsError)
            and self.settings_until is not None
            and now < self.settings_until
        )
        self.unknown = 0
        self.refusals = self.refusals + 1 if isinstance(error, _MAY_PASS) else 0
        in_doubt = 0 < self.refusals < BELIEVED_AFTER
        if isinstance(error, FINAL) and not (forgiven or in_doubt):
            return GiveUp(error)
        self.failed_looks += 1
        last_seen = f"the last {self.failed_looks} look(s) failed: {error}"
        return self._again(now, last_seen, concern=str(error), in_doubt=in_doubt)

    def after_lookup_error(self, error: errors.SegmindError, *, now: datetime) -> Decision:
        """Decide after the request history was asked in vain."""
        if self.empty is not None:
            return self._without_file(self.empty, now, str(error))
        if isinstance(error, errors.SegmindRequestNotFoundError):
            is_young = self.submitted_at is not None and now < self.submitted_at + ORPHAN_GRACE
            self.unknown += 1
            if self.unknown >= BELIEVED_AFTER and not is_young:
                return GiveUp(self._lost())
            self.failed_looks += 1
            unknown = (
                "Segmind did not know the job yet, which was submitted a moment ago"
                if is_young
                else "Segmind did not know the job, and neither did its request history"
            )
            return self._again(now, unknown, concern=f"{unknown}.", in_doubt=not is_young)
        return self.after_error(error, now=now)

    def begun(self, usual_latency: float | None, poll_interval: float | None) -> str:
        """Return the log's first line: for what, where that stands, until when, and how long it usually takes."""
        about = ", ".join(filter(None, [one_line(self.model or ""), self.last_status]))
        return (
            f"Waiting for request {self.request_id}{f' ({about})' if about else ''} until "
            f"{self.deadline:%Y-%m-%d %H:%M:%S %Z}."
            + (f" It usually takes {usual_latency:.0f} s." if usual_latency else "")
            + (f" Looking every {poll_interval:g} s." if poll_interval else "")
        )

    def timed_out(self, last_seen: str) -> errors.KlingGenerationTimeoutError:
        """Return the error for a deadline that has passed."""
        what = f"Request {self.request_id}" + (f" ({self.model})" if self.model else "")
        return errors.KlingGenerationTimeoutError(
            f"{what} was not done by {self.deadline:%Y-%m-%d %H:%M:%S %Z} ({last_seen}). It still runs and is still "
            "billed. A retry, or clearing this task, waits on for the same job and sends nothing; give it a longer "
            "timeout.",
            request_id=self.request_id,
        )

    def _lost(self) -> errors.SegmindRequestNotFoundError:
        return errors.SegmindRequestNotFoundError(
            f"Segmind does not know request {self.request_id}, and neither does its request history: it was not made "
            "with this connection's key. Nothing is charged for looking. Correct request_id or segmind_conn_id, then "
            "clear this task.",
            request_id=self.request_id,
            status_code=404,
        )

    def _again(self, now: datetime, last_seen: str, concern: str | None = None, *, in_doubt: bool = False) -> Decision:
        left = (self.deadline - now).total_seconds()
        if left <= 0:
            return GiveUp(self.timed_out(last_seen))
        # The last look falls on the deadline itself, so that a job done just before it is not lost.
        return LookAgain(min(self.pause(now), left), concern, in_doubt)
