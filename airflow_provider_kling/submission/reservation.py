"""The steps between an intent and its POST if there is a cost limit: read the claims, make room, read the balance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.budget.costs import read_bills
from airflow_provider_kling.budget.guard import PATIENCE, BatchBalance, BudgetGuard, CheckBalance, GiveWay, Pay
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInsufficientCreditsError
from airflow_provider_kling.submission.record import Claim, Record, read_claims, read_withdrawn, without_iteration
from airflow_provider_kling.submission.steps import (
    AskBalance,
    AskBills,
    AskRunning,
    AskSiblings,
    Log,
    Pause,
    Publish,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import datetime

    from airflow_provider_kling.budget.costs import Bill


def reserve(
    guard: BudgetGuard, claim: Claim, release: Step, clock: Callable[[], datetime]
) -> Generator[Step, Any, Record]:
    """
    Wait until the guard allows the POST of a published intent; return the intent to send.

    :param claim: the intent as it is published.
    :param release: the step that withdraws it.
    :raises KlingBudgetExceededError: it could exceed the limit.
    :raises SegmindInsufficientCreditsError: the balance does not cover what is about to be started.
    """
    until, me, looks, shown = clock() + PATIENCE, claim, 0, True
    known = Known(me.name)
    while True:
        if not shown:  # the last to ask leaves the room to those that ask already
            me = _with(me, intended_at=clock())
        yield from known.look(guard, clock, until)
        verdict = guard.judge(me, known.claims, known.bills, patient=clock() < until)
        if not shown and not isinstance(verdict, GiveWay):
            yield Publish(me)
            shown = True
            known.ask_who_runs()
            continue  # another task may have seen the same room, or have restarted since the claim was withdrawn
        if isinstance(verdict, CheckBalance | Pay):
            break
        if not looks:
            yield Log("info", "Other tasks of this run are about to submit; waiting for what they leave.")
        if shown and isinstance(verdict, GiveWay):
            yield release
            shown = False
        yield Pause(guard.pause(looks))
        looks += 1
    if isinstance(verdict, CheckBalance):
        yield from _check_balance(guard, verdict)
        me = _with(me, funded=True)
    if looks:  # the history is searched around the time of the intent
        me = _with(me, intended_at=clock())
    if me != claim:
        yield Publish(me)
    return me.record


@dataclass(slots=True)
class Known:
    """
    What is known about the siblings' claims.

    Airflow deletes what a task has published when it restarts the task, and the task publishes it again as its first
    step. What was seen before stays known meanwhile. What was already gone is waited for: of the siblings that run at
    the first read, and at the first one after the own claim was published again, those that show nothing yet.

    :param me: the task's own name.
    :param bills: what the siblings' jobs were billed, by their ids.
    """

    me: tuple[str, str]
    bills: dict[str, Bill] = field(default_factory=dict)
    _claims: dict[tuple[str, str], Claim] = field(default_factory=dict)
    #: The siblings that are still to show what they have; None before the first read.
    _awaited: set[str] | None = None

    @property
    def claims(self) -> list[Claim]:
        """The claims, as they were last seen."""
        return list(self._claims.values())

    def ask_who_runs(self) -> None:
        """Let the next read wait once more for siblings that run and show nothing."""
        self._awaited = None

    def look(self, guard: BudgetGuard, clock: Callable[[], datetime], until: datetime) -> Generator[Step, Any, None]:
        """Read what the siblings show; if the run has a budget, wait until all that are just starting have shown it."""
        self._add((yield AskSiblings()))
        if guard.limit is None:
            return
        looks = 0
        while self._awaited != set() and clock() < until:
            running = set((yield AskRunning(retried=True)))
            # Once more: what no longer runs has shown what it has, and what starts from now on had shown it before.
            silent = running - self._add((yield AskSiblings()))
            self._awaited = silent if self._awaited is None else self._awaited & silent
            if not self._awaited:
                break
            if not looks:
                yield Log("info", "Other tasks of this run are just starting; waiting for what they have spent.")
            yield Pause(guard.pause(looks))
            looks += 1
        self.bills |= read_bills((yield AskBills()))

    def _add(self, published: Sequence[Any]) -> set[str]:
        """Store what the siblings show now; return the tasks that show something now: the rest may be outdated."""
        gone = read_withdrawn(published)
        shown = {claim.name: claim for claim in read_claims(published, besides=self.me)}
        self._claims = {name: claim for name, claim in self._claims.items() if name not in gone} | shown
        return {without_iteration(task) for _, task in {*shown, *gone, self.me}}


def _check_balance(guard: BudgetGuard, check: CheckBalance) -> Generator[Step, Any, None]:
    """Check the balance. One that cannot be read stops nothing: Segmind itself refuses what it does not cover."""
    try:
        funds: BatchBalance = yield AskBalance()
    except SegmindInsufficientCreditsError:
        raise
    except SegmindError as error:
        yield Log("warning", f"The balance could not be read before this submit: {error}")
    else:
        guard.refuse_for_balance(check, funds)


def _with(claim: Claim, **fields: Any) -> Claim:
    return claim.model_copy(update={"record": claim.record.model_copy(update=fields)})
