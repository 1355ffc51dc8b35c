"""The steps between an intent and its POST where money is limited: ask the siblings, make room, ask for the balance."""

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
    Wait until the guard allows the POST of an intent that is published; return the intent to send.

    :param claim: the intent as it is published.
    :param release: the step that takes it back.
    :raises KlingBudgetExceededError: it could break the limit.
    :raises SegmindInsufficientCreditsError: the balance does not cover what is about to be started.
    """
    until, me, looks, shown = clock() + PATIENCE, claim, 0, True
    known = Known(me.name)
    while True:
        if not shown:  # who asks last leaves the room to whoever asks already
            me = _with(me, intended_at=clock())
        yield from known.look(guard, clock, until)
        verdict = guard.judge(me, known.claims, known.bills, patient=clock() < until)
        if not shown and not isinstance(verdict, GiveWay):
            yield Publish(me)
            shown = True
            known.ask_who_runs()
            continue  # another one may have seen the same room, or have been started again since it took back its claim
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
    What is known of the siblings' claims.

    Airflow deletes what a task has shown when it starts it again, and the task shows it anew as its first step. What
    was seen before stays known meanwhile. What was gone already is waited for: of the siblings that run at the first
    look, and at the first after a claim was shown anew, those that show nothing yet.

    :param me: the task's own name.
    :param bills: what the siblings' jobs were billed, by their ids.
    """

    me: tuple[str, str]
    bills: dict[str, Bill] = field(default_factory=dict)
    _claims: dict[tuple[str, str], Claim] = field(default_factory=dict)
    #: The siblings that are still to show what they have; None before the first look.
    _awaited: set[str] | None = None

    @property
    def claims(self) -> list[Claim]:
        """The claims, as they were last seen."""
        return list(self._claims.values())

    def ask_who_runs(self) -> None:
        """Let the next look wait once more for siblings that run and show nothing."""
        self._awaited = None

    def look(self, guard: BudgetGuard, clock: Callable[[], datetime], until: datetime) -> Generator[Step, Any, None]:
        """Ask what the siblings show; where a run's budget counts, once all have shown it that are just starting."""
        self._add((yield AskSiblings()))
        if guard.limit is None:
            return
        looks = 0
        while self._awaited != set() and clock() < until:
            running = set((yield AskRunning(retried=True)))
            # Once more: what is not running any more has shown what it has, and what starts from now on had shown it.
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
        """Take what the siblings show now; return the tasks that show something: what is only known may be outdated."""
        gone = read_withdrawn(published)
        shown = {claim.name: claim for claim in read_claims(published, besides=self.me)}
        self._claims = {name: claim for name, claim in self._claims.items() if name not in gone} | shown
        return {without_iteration(task) for _, task in {*shown, *gone, self.me}}


def _check_balance(guard: BudgetGuard, check: CheckBalance) -> Generator[Step, Any, None]:
    """Ask for the balance. One that cannot be read stops nothing: Segmind itself refuses what it does not cover."""
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
