"""Defers a task until more is known, such as at the reset of a rate limit, and resumes it in the same try."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, cast

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kling.operators.wait_base import TRIGGER_GRACE, timed_out
from airflow_provider_kling.submission.policy import resumes_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.segmind.errors import SegmindError


class Postpones:
    """The part of an operator that executes it again, in the same try, when waiting may resolve an error."""

    # Airflow's own.
    log: Any
    defer: Callable[..., NoReturn]
    execute: Callable[[Context], Any]

    #: False waits on the worker.
    deferrable: bool = True

    def execute_again(self, context: Context, event: Any = None) -> Any:  # noqa: ARG002 it only says that it is time
        """Continue in the same try, once more is known."""
        return self.execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after the triggerer, or, if none runs, once Airflow has timed out the wait."""
        if timed_out(next_method, next_kwargs):
            return self.execute_again(context)
        return BaseOperator.resume_execution(cast("BaseOperator", self), next_method, next_kwargs, context)

    def postponed(self, context: Context, error: SegmindError) -> bool:
        """
        Return False if waiting does not help, or True after a wait on this worker; else defer to the triggerer.

        :raises TaskDeferred: the task continues later, with :meth:`execute_again`.
        """
        began = getattr(context["ti"], "start_date", None)  # a deferral does not change it
        moment = resumes_at(error, datetime.now(tz=UTC), chance=random.random(), began=began)  # noqa: S311 jitter
        if moment is None:
            return False
        where = "in the triggerer" if self.deferrable else "on this worker"
        self.log.warning("%s This attempt continues at %s UTC; it waits %s.", error, f"{moment:%H:%M:%S}", where)
        left = moment - datetime.now(tz=UTC)
        if self.deferrable:
            from airflow_provider_kling.triggers.resume import KlingResumeTrigger

            trigger = KlingResumeTrigger(moment.isoformat())
            self.defer(trigger=trigger, method_name=self.execute_again.__name__, timeout=left + TRIGGER_GRACE)
        time.sleep(max(left.total_seconds(), 0))
        return True
