"""A path told in plain English: which task, at what time, what it did, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_kling.submission import steps
from airflow_provider_kling.submission.attempt import attempt
from prove.assumptions import SECOND, moment
from prove.naming import short
from prove.promises import check_always, check_end
from prove.scenarios import OWL
from prove.state import Violation
from prove.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_kling.submission.record import Record
    from prove.attempts import Protocol
    from prove.scenarios import Scenario

_TOLD = {
    "start": "Airflow starts an attempt",
    "resume": "Airflow brings it back in the same try",
    "accept": "its POST arrives and is accepted",
    "accept_late": "its POST arrives and is accepted; its row will be late in the history",
    "reply": "it receives the reply",
    "lose": "the reply is lost on the way",
    "vanish": "its POST never arrives, and it sees no answer",
    "refuse": "its POST is refused with HTTP 500; nothing was accepted",
    "limit": "its POST is refused with HTTP 429; nothing was accepted",
    "mask": "it is told HTTP 500, although its POST was accepted",
    "mask_limit": "it is told HTTP 429, although its POST was accepted",
    "die_flying": "its worker dies with the POST on its way, which is taken up later",
    "die_flying_late": "its worker dies with the POST on its way, which is taken up later; its row will be late",
    "unread": "the history answers HTTP 500",
    "land": "what the attempt before was about to show is written only now",
    "count": "Airflow counts it as successful, and the record says so",
    "post_fails": "its post_execute fails, and Airflow starts it again",
    "clear": "a user clears it",
    "change": "a user changes its payload",
}
_BEFORE = {
    "die": "its worker dies before it could {}",
    "die_after": "its worker does {}, and dies",
    "die_half": "its worker begins to {}, and dies after the first of two writes",
    "down": "Airflow does not answer when it wants to {}, and nothing was done",
    "down_after": "Airflow does {}, and its answer is lost",
    "linger": "Airflow gives the attempt up just when it is about to {}, which is still done, but later",
}


def replay(scenario: Scenario, events: Sequence[str], protocol: Protocol = attempt) -> Iterator[str]:
    """
    Yield the lines of the story.

    :raises ValueError: an event cannot come at its place.
    """
    yield f"{scenario.name}."
    for wish, letter in zip(scenario.tasks, "abcdef", strict=False):
        yield f"  Task {letter}, run {wish.run}, wants {'an owl' if wish.prompt == OWL else 'a fox'}."
    world = World(scenario, protocol)
    for event in events:
        if event not in world.events():
            raise ValueError(f"{event!r} cannot come here, only {', '.join(world.events())}")
        before, world = world, world.fork()
        told = _event(before, event)
        try:
            world.happen(event)
            broken = None
            check_always(world)
            if world.ended:
                check_end(world)
            elif not world.events():
                broken = "4: a task hangs: nothing can happen any more"
        except Violation as violation:
            broken = str(violation)
        if event == "tick":
            told = f"{(world.now - before.now) / SECOND:g} s pass"
        yield f"{moment(world.now):%H:%M:%S}  {told}{''.join(f'; {said}' for said in world.said)}."
        if broken is not None:
            yield f"BROKEN  {broken}"
            return


def _event(world: World, event: str) -> str:
    if "." not in event:
        return "The key is changed"
    letter, what = event.split(".", 1)
    attempt = world.tasks["abcdef".index(letter)].attempt
    doing = _step(attempt.step) if attempt is not None else "go on"
    if what == "go":
        told = f"does: {doing}"
    elif what in _BEFORE:
        told = _BEFORE[what].format(doing)
    else:
        told = _TOLD[what]
    return f"Task {letter}: {told}"


def _step(step: Any) -> str:  # noqa: PLR0911 one line for each step
    match step:
        case steps.LoadRecord():
            return "read its record"
        case steps.SaveRecord(record=record):
            return f"store its record ({_record(record)})"
        case steps.DeleteRecord():
            return "delete its record"
        case steps.Publish(claim=claim):
            return f"show its siblings {_record(claim.record)}"
        case steps.Withdraw():
            return "take back what it shows its siblings"
        case steps.Post():
            return "send its POST"
        case steps.Pause(seconds=seconds):
            return f"wait {seconds:g} s"
        case steps.Deliver(claim=claim):
            return f"hand on request {short(claim.record.request_id)}"
        case steps.Log():
            return "log"
    return {
        "AskSiblings": "ask what its siblings show",
        "AskOtherRuns": "ask what the tasks of other runs show",
        "AskRunning": "ask which tasks of the run run now",
        "AskBills": "ask what the run was billed",
        "AskBalance": "ask for the balance",
        "SearchHistory": "look in the request history",
        "AskOwner": "ask the history whether the job is of this account",
    }.get(type(step).__name__, type(step).__name__)


def _record(record: Record) -> str:
    if record.request_id is None:
        words = ["an intent", *(["unclear"] if record.unclear else []), *(["refused"] if record.refused else [])]
    else:
        words = [f"request {short(record.request_id)}", *(["found in the history"] if record.found else [])]
    return ", ".join([*words, *(["delivered"] if record.closed else [])])
