"""What every task that waits does on a worker, however it waits: poll, hand the wait to the triggerer, end."""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar, cast

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, AirflowSkipException, BaseOperator

from airflow_provider_kling.operators.failure import fail
from airflow_provider_kling.polling.wait import PollAgain
from airflow_provider_kling.segmind.errors import SegmindError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook

T = TypeVar("T")

#: How long the trigger's own deadline is before Airflow's, which also applies if no triggerer runs.
TRIGGER_GRACE = timedelta(seconds=60)
#: Seconds at the most from one poll to the next in a process that asks the same several times in a row.
LONGEST_DOUBT = 5.0
#: How often it asks at the most.
MOST_IN_A_ROW = 10
#: Why a wait ended without a trigger.
NO_TRIGGERER = (
    "no triggerer polled in time: start one (`airflow triggerer`), or set deferrable=False to wait on a worker"
)


def timed_out(next_method: str, next_kwargs: dict[str, Any] | None) -> bool:
    """Whether Airflow has timed out a task's wait in the triggerer."""
    return next_method == "__fail__" and "timeout" in str((next_kwargs or {}).get("error", "")).lower()


class Waits:
    """
    The part of an operator that waits.

    A subclass defines what it waits for (:meth:`_wait`), how to poll (:meth:`_poll`), which trigger continues the wait
    (:meth:`_trigger`), and what it delivers (:meth:`_deliver`).
    """

    #: The error of a wait that reached its deadline, and of no other; ``soft_fail`` turns it into a skip.
    deadline_error: ClassVar[type[SegmindError]]

    # Airflow's own.
    log: Any
    defer: Callable[..., NoReturn]
    execution_timeout: timedelta | None
    # The subclass's.
    segmind_conn_id: str
    timeout: Any

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that polls."""
        from airflow_provider_kling.hooks.segmind import SegmindHook

        return SegmindHook(self.segmind_conn_id)

    @abstractmethod
    def execute_complete(self, context: Context, event: Any) -> Any:
        """End as the trigger's event says."""

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after the triggerer, without BaseSensorOperator's own method: its soft_fail skips on any failure."""
        with self._endings(context):
            if timed_out(next_method, next_kwargs):
                return self._end_without_a_triggerer(context)
            return BaseOperator.resume_execution(cast("BaseOperator", self), next_method, next_kwargs, context)

    @abstractmethod
    def _wait(self, context: Context, deadline: datetime) -> Any:
        """Return the wait."""

    @abstractmethod
    def _poll(self, wait: Any) -> Any:
        """Poll once; return what was waited for, or None; raise the error that ends the wait."""

    @abstractmethod
    def _trigger(self, context: Context, wait: Any) -> Any:
        """Return the trigger that continues the wait."""

    @abstractmethod
    def _deliver(self, context: Context, found: Any) -> Any:
        """Deliver what was waited for."""

    def _until_sure(self, poll: Callable[[], T], *, alone: bool) -> T:
        """
        Poll; what counts only several times in a row is asked several times in a row.

        :param alone: whether no later poll knows what this one saw.
        """
        for _ in range(MOST_IN_A_ROW):
            if not (isinstance(seen := poll(), PollAgain) and seen.in_doubt and alone):
                return seen
            time.sleep(min(seen.seconds, LONGEST_DOUBT))
        return poll()

    def _limit(self) -> timedelta:
        limits = [timedelta(seconds=self.timeout)]
        if self.execution_timeout is not None:  # Airflow does not enforce it while a task is deferred
            limits.append(self.execution_timeout)
        return min(limits)

    def _deadline(self) -> datetime:
        return datetime.now(tz=UTC) + self._limit()

    def _poll_then_defer(self, context: Context) -> Any:
        wait = self._wait(context, self._deadline())
        found = self._poll(wait)
        return self._defer(context, wait) if found is None else self._deliver(context, found)

    def _defer(self, context: Context, wait: Any) -> NoReturn:
        trigger = self._trigger(context, wait)
        self.log.info("%s", wait.begun())
        left = wait.deadline - datetime.now(tz=UTC)
        self.defer(trigger=trigger, method_name=self.execute_complete.__name__, timeout=left + TRIGGER_GRACE)

    def _end_without_a_triggerer(self, context: Context) -> Any:
        """Poll one last time: the wait may have been over for a long time, while nothing polled."""
        wait = self._wait(context, datetime.now(tz=UTC))
        try:
            found = self._poll(wait)
        except self.deadline_error:
            found = None
        if found is None:
            raise wait.timed_out(NO_TRIGGERER)
        self.log.warning("The wait is over, but %s.", NO_TRIGGERER)
        return self._deliver(context, found)

    def _unfinished(self) -> str:
        """Return the last known state when Airflow's own loop timed out."""
        return f"not done after {self.timeout:g} s"

    @contextmanager
    def _endings(self, context: Context) -> Iterator[None]:
        """End the task the same way however it waits."""
        try:
            yield
        except SegmindError as error:
            self._end_with(context, error)
        except (AirflowSensorTimeout, AirflowSkipException) as ending:  # as Airflow's own loop ends
            cause = ending.__cause__
            late = self._wait(context, datetime.now(tz=UTC)).timed_out(self._unfinished())
            self._end_with(context, cause if isinstance(cause, SegmindError) else late)

    def _end_with(self, context: Context, error: SegmindError) -> NoReturn:  # noqa: ARG002 for subclasses
        may_skip = getattr(self, "soft_fail", False) and isinstance(error, self.deadline_error)
        if may_skip or getattr(self, "never_fail", False):
            self.log.warning("%s: %s", type(error).__name__, error)
            raise AirflowSkipException(str(error)) from error
        fail(cast("BaseOperator", self), error)
