"""The steps between an intent and its POST where money is limited: ask the siblings, make room, ask for the balance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.bills import read_bills
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInsufficientCreditsError
from airflow_provider_kling.segmind.spending import PATIENCE, CheckBalance, Funds, Pay, Purse, StandBack
from airflow_provider_kling.segmind.steps import (
    AskBills,
    AskFunds,
    AskSiblings,
    Claim,
    Pause,
    Publish,
    Record,
    Step,
    Tell,
    read_claims,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime


def afford(purse: Purse, claim: Claim, stand_down: Step, clock: Callable[[], datetime]) -> Generator[Step, Any, Record]:
    """
    Wait until the purse allows the POST of an intent that is published; return the intent to send.

    :param claim: the intent as it is published.
    :param stand_down: the step that takes it back.
    :raises KlingBudgetExceededError: it could break the limit.
    :raises SegmindInsufficientCreditsError: the balance does not cover what is about to be started.
    """
    until, me, looks, shown = clock() + PATIENCE, claim, 0, True
    while True:
        if not shown:  # who asks last leaves the room to whoever asks already
            me = _with(me, intended_at=clock())
        siblings = read_claims((yield AskSiblings()), besides=me.name)
        bills = read_bills((yield AskBills())) if purse.limit is not None else {}
        verdict = purse.judge(me, siblings, bills, patient=clock() < until)
        if not shown and not isinstance(verdict, StandBack):
            yield Publish(me)
            shown = True
            continue  # another one may have seen the same room
        if isinstance(verdict, CheckBalance | Pay):
            break
        if not looks:
            yield Tell("info", "Other tasks of this run are about to submit; waiting for what they leave.")
        if shown and isinstance(verdict, StandBack):
            yield stand_down
            shown = False
        yield Pause(purse.pause(looks))
        looks += 1
    if isinstance(verdict, CheckBalance):
        yield from _check_balance(purse, verdict)
        me = _with(me, funded=True)
    if looks:  # the history is searched around the time of the intent
        me = _with(me, intended_at=clock())
    if me != claim:
        yield Publish(me)
    return me.record


def _check_balance(purse: Purse, check: CheckBalance) -> Generator[Step, Any, None]:
    """Ask for the balance. One that cannot be read stops nothing: Segmind itself refuses what it does not cover."""
    try:
        funds: Funds = yield AskFunds()
    except SegmindInsufficientCreditsError:
        raise
    except SegmindError as error:
        yield Tell("warning", f"The balance could not be read before this submit: {error}")
    else:
        purse.refuse_for_balance(check, funds)


def _with(claim: Claim, **fields: Any) -> Claim:
    return claim.model_copy(update={"record": claim.record.model_copy(update=fields)})
