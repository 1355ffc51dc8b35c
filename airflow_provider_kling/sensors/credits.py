"""The sensor that waits for a top-up."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
)

from airflow_provider_kling.budget.kling_budget import checked_cost
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.operators.failure import fail
from airflow_provider_kling.operators.job_wait import NO_TRIGGERER, TRIGGER_GRACE
from airflow_provider_kling.operators.rendering import RendersAuthorsTemplates
from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.polling.balance_wait import BalanceWait, Decision, Enough, reached
from airflow_provider_kling.polling.job_wait import GiveUp, PollAgain
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInsufficientCreditsError
from airflow_provider_kling.triggers.credits import KlingCreditsTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.common.compat.sdk import Context


class KlingCreditsSensor(RendersAuthorsTemplates, BaseSensorOperator):
    """
    Wait until the account's balance is high enough; return it in US dollars.

    It only reads. By default it waits in the triggerer and holds no worker. What running jobs have reserved
    is not part of the balance. ``soft_fail`` skips the task when the deadline passes.

    :param min_credits: US dollars that the balance has to reach. (templated)
    :param segmind_conn_id: the connection whose account is asked. (templated)
    :param deferrable: wait in the triggerer; the default, unless ``mode`` is given.
    :param mode: ``poke`` or ``reschedule`` to wait on a worker.
    :param poll_interval: seconds from one look to the next; ``poke_interval`` is the same.
    :param timeout: seconds until the wait is given up.
    :raises SegmindInsufficientCreditsError: the deadline passed; the task fails at once.
    """

    template_fields: Sequence[str] = ("min_credits", "segmind_conn_id")
    ui_color = "#fdeec4"

    def __init__(
        self,
        *,
        min_credits: float | str,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        deferrable: bool | None = None,
        mode: str | None = None,
        poll_interval: float = 60.0,
        timeout: float | timedelta = 86400.0,
        **kwargs: Any,
    ) -> None:
        interval = kwargs.pop("poke_interval", poll_interval)
        super().__init__(mode=mode or "poke", timeout=timeout, **kwargs, poke_interval=interval)
        if self.poke_interval <= 0:
            raise ValueError(f"poll_interval: {interval!r} must be above 0 seconds.")
        if not is_template(min_credits):
            checked_cost("min_credits", min_credits)
        self.min_credits = min_credits
        self.segmind_conn_id = segmind_conn_id
        self.deferrable = mode is None if deferrable is None else deferrable
        self._balance: float | None = None

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that looks."""
        return SegmindHook(self.segmind_conn_id)

    def execute(self, context: Context) -> float:
        """Look once, then wait in the triggerer or on the worker."""
        with self._endings():
            balance: float = self._look_then_defer() if self.deferrable else super().execute(context)
            return balance

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 is Airflow's signature
        """Look once."""
        # Airflow's own loop keeps the deadline in these modes.
        decision = self._look(self._wait(datetime.now(tz=UTC) + timedelta(seconds=self.timeout)))
        if isinstance(decision, Enough):
            return PokeReturnValue(is_done=True, xcom_value=self._deliver(decision))
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> float:  # noqa: ARG002 is Airflow's signature
        """End as the trigger's event says."""
        if "error" in event:
            raise SegmindError.from_dict(event["error"])
        return self._deliver(Enough(event["balance"]))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the triggerer; past BaseSensorOperator's own, whose soft_fail skips any failure."""
        with self._endings():
            if next_method == "__fail__" and "timeout" in str((next_kwargs or {}).get("error", "")).lower():
                raise self._wait(datetime.now(tz=UTC)).timed_out(NO_TRIGGERER)
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def _look_then_defer(self) -> float:
        limits = [timedelta(seconds=self.timeout), *filter(None, [self.execution_timeout])]
        wait = self._wait(datetime.now(tz=UTC) + min(limits))
        decision = self._look(wait)
        if not isinstance(decision, Enough):
            self._defer(wait)
        return self._deliver(decision)

    def _defer(self, wait: BalanceWait) -> NoReturn:
        self.log.info("%s", wait.begun())
        self.defer(
            trigger=KlingCreditsTrigger(
                min_credits=wait.min_credits,
                deadline=wait.deadline.isoformat(),
                segmind_conn_id=self.segmind_conn_id,
                poll_interval=self.poke_interval,
            ),
            method_name=self.execute_complete.__name__,
            timeout=wait.deadline - datetime.now(tz=UTC) + TRIGGER_GRACE,
        )

    def _wait(self, deadline: datetime) -> BalanceWait:
        return BalanceWait(checked_cost("min_credits", self.min_credits), deadline, self.poke_interval)

    def _look(self, wait: BalanceWait) -> Decision:
        """Look once; raise what ends the wait."""
        try:
            decision = wait.after_answer(self.hook.get_credits(), now=datetime.now(tz=UTC))
        except SegmindError as error:
            decision = wait.after_error(error, now=datetime.now(tz=UTC))
        match decision:
            case GiveUp(error=ending):
                raise ending
            case PollAgain(concern=str() as concern):
                self.log.warning("%s Looking again later.", concern)
            case PollAgain() if not self.deferrable and self._balance is None:
                self.log.info("%s", wait.begun())
        self._balance = wait.balance
        return decision

    def _deliver(self, enough: Enough) -> float:
        self.log.info("%s", reached(enough.balance, checked_cost("min_credits", self.min_credits)))
        return enough.balance

    @contextmanager
    def _endings(self) -> Iterator[None]:
        """End the task the same way in every mode."""
        try:
            yield
        except (AirflowSensorTimeout, AirflowSkipException) as ending:  # as Airflow's own loop ends
            cause = ending.__cause__
            wait = self._wait(datetime.now(tz=UTC))
            wait.balance = self._balance
            error: SegmindError = cause if isinstance(cause, SegmindError) else wait.timed_out()
        except SegmindError as caught:
            error = caught
        else:
            return
        if self.soft_fail and isinstance(error, SegmindInsufficientCreditsError):
            raise AirflowSkipException(str(error)) from error
        fail(self, error)
