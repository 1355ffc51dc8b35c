"""The sensor that waits for a top-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_kling.budget.kling_budget import checked_cost
from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.operators.rendering import RendersAuthorsTemplates
from airflow_provider_kling.operators.wait_base import Waits
from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.polling.balance_wait import BalanceWait, Decision, Enough
from airflow_provider_kling.polling.wait import GiveUp, PollAgain
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInsufficientCreditsError
from airflow_provider_kling.segmind.money import dollars
from airflow_provider_kling.triggers.credits import KlingCreditsTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

__all__ = ["KlingCreditsSensor"]


class KlingCreditsSensor(RendersAuthorsTemplates, Waits, BaseSensorOperator):
    """
    Wait until the account's balance is high enough; return it in US dollars.

    It only reads. By default it waits in the triggerer and holds no worker. What running jobs have reserved
    is not part of the balance. ``soft_fail`` skips the task when the deadline passes.

    :param min_credits: US dollars that the balance has to reach. (templated)
    :param segmind_conn_id: the connection of the account. (templated)
    :param deferrable: wait in the triggerer; the default, unless ``mode`` is given.
    :param mode: ``poke`` or ``reschedule`` to wait on a worker.
    :param poll_interval: seconds from one poll to the next; ``poke_interval`` is the same.
    :param timeout: seconds until the wait is given up.
    :raises SegmindInsufficientCreditsError: the deadline passed; the task fails at once.
    """

    template_fields: Sequence[str] = ("min_credits", "segmind_conn_id")
    ui_color = "#fdeec4"
    deadline_error = SegmindInsufficientCreditsError

    def __init__(
        self,
        *,
        min_credits: float | str,
        segmind_conn_id: str = DEFAULT_CONN_ID,
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

    def execute(self, context: Context) -> float:
        """Poll once, then wait in the triggerer or on the worker."""
        with self._endings(context):
            balance: float = self._poll_then_defer(context) if self.deferrable else super().execute(context)
            return balance

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once."""
        # Airflow's own loop enforces the deadline in these modes.
        wait = self._wait(context, datetime.now(tz=UTC) + timedelta(seconds=self.timeout))
        begins, enough = self._balance is None, self._poll(wait)
        if enough is not None:
            return PokeReturnValue(is_done=True, xcom_value=self._deliver(context, enough))
        if begins and wait.balance is not None:
            self.log.info("%s", wait.begun())
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> float:
        """End as the trigger's event says."""
        if "error" in event:
            raise SegmindError.from_dict(event["error"])
        return self._deliver(context, Enough(event["balance"]))

    def _wait(self, context: Context, deadline: datetime) -> BalanceWait:  # noqa: ARG002 is the base's signature
        return BalanceWait(
            min_credits=checked_cost("min_credits", self.min_credits),
            deadline=deadline,
            interval=self.poke_interval,
            balance=self._balance,
        )

    def _asked(self, wait: BalanceWait) -> Decision:
        try:
            return wait.after_answer(self.hook.get_credits(), now=datetime.now(tz=UTC))
        except SegmindError as error:
            return wait.after_error(error, now=datetime.now(tz=UTC))

    def _poll(self, wait: BalanceWait) -> Enough | None:
        decision = self._until_sure(lambda: self._asked(wait), alone=not self.deferrable)  # each poke has its own wait
        self._balance = wait.balance
        match decision:
            case GiveUp(error=ending):
                raise ending
            case Enough():
                return decision
            case PollAgain(concern=str() as concern):
                self.log.warning("%s Polling again later.", concern)
        return None

    def _trigger(self, context: Context, wait: BalanceWait) -> KlingCreditsTrigger:  # noqa: ARG002 as above
        return KlingCreditsTrigger(
            min_credits=wait.min_credits,
            deadline=wait.deadline.isoformat(),
            segmind_conn_id=self.segmind_conn_id,
            poll_interval=self.poke_interval,
        )

    def _deliver(self, context: Context, enough: Enough) -> float:  # noqa: ARG002 as above
        needed = checked_cost("min_credits", self.min_credits)
        self.log.info("The balance is %s, which covers %s.", dollars(enough.balance), dollars(needed))
        return enough.balance

    def _unfinished(self) -> str:
        return "it is " + ("not known" if self._balance is None else dollars(self._balance))
