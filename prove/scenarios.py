"""What is explored: small closed bounds, each with every order of its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from prove.assumptions import CLOCKS_APART, PRICE
from prove.history import Habits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: 3.3 keeps a task's state when it is cleared, 3.4 drops it, 3.2 and 2.11 have none; these three have the Variable, and
#: 2.11 tells of what was delivered in its audit log.
#: "ledger" is 3.4, which forgets most, with a ledger, which outlives everything, and in which a job is one task's.
Airflow = Literal["3.3", "3.4", "3.2", "2.11", "ledger"]

#: Longer than what a history cuts, with signs and spaces that it may even out.
FOX = "a fox in the snow at dawn, watching its breath's  slow white cloud"
OWL = "an owl on a fence post at dusk, turning its head without a sound"

#: What may go wrong, or is done by people, and how the story calls it.
FAULTS: Mapping[str, str] = {
    "die": "a worker dies",
    "lose": "the reply to a POST is lost",
    "vanish": "a POST never arrives",
    "refuse": "a POST is refused with 500 or 429",
    "mask": "a POST is accepted and answered with 500 or 429 all the same",
    "late": "a row is late in the history",
    "down": "Airflow does not answer",
    "unread": "the history does not answer",
    "post_execute": "post_execute fails after the return",
    "undo": "Airflow 2 retries a task that has succeeded",
    "linger": "an XCom of a superseded attempt is written late",
    "stall": "a worker stands still while time passes",
    "clear": "a user clears a task that has not delivered",
    "again": "a user clears a task that has delivered",
    "change": "a user changes a payload",
    "rotate": "the key is rotated",
    "move": "another account's key is set",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """
    A task of the model.

    :param prompt: what it wants.
    :param run: the DAG run that it is in.
    :param ahead: microseconds that its worker's clock is ahead.
    """

    prompt: str = FOX
    run: str = "one"
    ahead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    One bound.

    :param faults: how often each may happen at the most, over all tasks.
    :param total: how many may happen in all.
    :param looks_for: seconds that a worker looks in the history at a time.
    :param budget: US dollars that the run may cost; None where nothing limits it.
    :param person: whether it may end with a task that asks a person which job is its own.
    :param reuses: whether a task takes a job that was sent for the same.
    :param weakness: a documented weakness, or a defect that is not fixed yet, that makes it fail.
    :param every_name: whether either of two tasks that are the same may begin first.
    :param small: whether it is in the small bound too, as it is.
    """

    name: str
    tasks: tuple[Wish, ...] = (Wish(), Wish())
    airflow: Airflow = "3.3"
    faults: Mapping[str, int] = field(default_factory=dict)
    total: int = 2
    habits: Habits = Habits()  # noqa: RUF009 it is frozen
    looks_for: float = 0
    budget: float | None = None
    person: bool = False
    reuses: bool = False
    weakness: str = ""
    every_name: bool = False
    small: bool = True


_ONE = (Wish(),)
_ALIKE = (Wish(), Wish())
_OTHERS = (Wish(), Wish(OWL))
_TWO_RUNS = (Wish(), Wish(run="two"))
#: What may become of a worker and of its POST.
_CRASHES = {"die": 2, "lose": 2, "vanish": 2, "late": 2}
#: Everything but an answer 500 or 429 to what was accepted, and what concerns several tasks or another account.
_ANY = {**_CRASHES, "refuse": 2, "down": 2, "unread": 1, "post_execute": 1, "clear": 1, "change": 1, "rotate": 1}
_AIRFLOWS: tuple[Airflow, ...] = ("3.3", "3.4", "3.2", "2.11", "ledger")
_HABITS: dict[str, Habits] = {
    "numbers as texts": Habits(form="as text"),
    "defaults written out": Habits(form="with defaults"),
    "no times": Habits(form="no time"),
    "no ids": Habits(form="no id"),
    "oldest first": Habits(newest_first=False),
    "days of a zone in the east": Habits(hours_east=14),
    "days of a zone in the west": Habits(hours_east=-12),
    "the last day is left out": Habits(last_day=False),
    "a clock five minutes ahead": Habits(ahead=CLOCKS_APART),
}
_NEAR_MISSES: dict[str, Habits] = {
    "a cut text": Habits(form="cut"),
    "signs evened out": Habits(form="evened"),
    "local times without a zone": Habits(form="local time", hours_east=2),
    "a clock five minutes behind": Habits(ahead=-CLOCKS_APART),
    "days of the east, the last one left out": Habits(hours_east=14, last_day=False),
}


def _scenarios() -> Iterator[Scenario]:
    yield Scenario(
        name="budget for one, a crash and a lost reply",
        faults={"die": 1, "lose": 1},
        budget=PRICE,
        person=True,
        small=False,
    )
    for airflow in _AIRFLOWS:
        on = f"Airflow {airflow}"
        # There a task forgets what it has delivered when it is cleared: see the weakness below.
        forgets = airflow in {"3.2", "3.4"}
        again = {} if forgets else {"again": 1}
        every = {**_ANY, "stall": 1, **again, **({"undo": 1} if airflow == "2.11" else {})}
        yield Scenario(
            name=f"one task, three faults, {on}",
            tasks=_ONE,
            airflow=airflow,
            faults=every,
            total=3,
            small=airflow == "3.4",
        )
        yield Scenario(
            name=f"two alike, one fault, {on}",
            tasks=_ALIKE,
            airflow=airflow,
            faults=every,
            total=1,
            small=airflow != "3.2",
        )
        # Below 3.3 a crash leaves what it leaves on 3.3, and a retry forgets what one on 3.4 forgets.
        if airflow in {"3.3", "3.4"}:
            yield Scenario(
                name=f"two alike, two crashes, {on}",
                tasks=_ALIKE,
                airflow=airflow,
                faults={"die": 2, **({"lose": 2} if airflow == "3.3" else {})},
                person=True,
                small=False,
            )
        if airflow != "3.2":
            yield Scenario(
                name=f"two alike, a crash and a clear, {on}",
                tasks=_ALIKE,
                airflow=airflow,
                faults={"die": 1, "lose": 1, "post_execute": 1, "clear": 1, **again},
                person=True,
                small=False,
            )
        if airflow == "2.11":
            yield Scenario(
                name=f"retried after delivery, {on}",
                tasks=_ONE,
                airflow=airflow,
                faults={"undo": 2, "again": 1, "die": 1, "lose": 1, "late": 1, "clear": 1},
                total=4,
            )
            yield Scenario(
                name=f"one of two alike is retried after delivery, {on}",
                airflow=airflow,
                faults={"undo": 1, "die": 1},
                person=True,
            )
        if forgets:
            yield Scenario(
                name=f"cleared after delivery, {on}",
                tasks=_ONE,
                airflow=airflow,
                faults={"again": 2, "post_execute": 1, "clear": 1},
                total=3,
            )
            yield Scenario(
                name=f"cleared after delivery, then a crash, {on}",
                tasks=_ONE,
                airflow=airflow,
                faults={"again": 2, "die": 2, "lose": 2, "vanish": 2},
                total=3,
            )
            yield Scenario(
                name=f"cleared after delivery with the row still to come, then a crash, {on}",
                tasks=_ONE,
                airflow=airflow,
                faults={"again": 1, "late": 1, "die": 1, "lose": 1},
                total=3,
                person=True,
                weakness="The task has forgotten the job, and the history does not show it yet: it may be taken again.",
            )
    for name, habits in (_HABITS | _NEAR_MISSES).items():
        yield Scenario(name=f"history: {name}", tasks=_ONE, habits=habits, faults=_CRASHES, person=True)
    yield Scenario(name="history: two alike, oldest first", habits=Habits(newest_first=False), faults=_CRASHES, total=1)
    yield Scenario(name="a look of 15 s, two faults", tasks=_ONE, looks_for=15, faults=_CRASHES)
    yield Scenario(
        name="two alike, clocks a minute apart", tasks=(Wish(), Wish(ahead=CLOCKS_APART // 5)), faults=_CRASHES, total=1
    )
    yield Scenario(
        name="two alike, clocks five minutes apart",
        tasks=(Wish(), Wish(ahead=CLOCKS_APART)),
        faults=_CRASHES,
        total=1,
    )
    yield Scenario(name="two alike, either first, one fault", faults=_CRASHES, total=1, every_name=True)
    yield Scenario(name="two different, one fault", tasks=_OTHERS, faults=_CRASHES, total=1)
    yield Scenario(name="two different, two crashes", tasks=_OTHERS, faults={"die": 2, "lose": 2}, small=False)
    yield Scenario(name="a rotated key", tasks=_ONE, faults={**_CRASHES, "rotate": 1})
    yield Scenario(name="another account", tasks=_ONE, faults={**_CRASHES, "move": 1, "unread": 1}, total=3)
    yield Scenario(name="budget for one, no fault", total=0, budget=PRICE)
    yield Scenario(name="budget for one, one fault", faults=_CRASHES, total=1, budget=PRICE, small=False)
    yield Scenario(name="accepted, answered 500 or 429", tasks=_ONE, faults={"mask": 2, "die": 1, "refuse": 1}, total=3)
    yield Scenario(
        name="accepted, answered 500 or 429, and the row is late",
        tasks=_ONE,
        faults={"mask": 1, "late": 1},
        weakness="After such an answer the history is looked in only once, at the next attempt.",
    )
    yield Scenario(
        name="accepted, answered 500 or 429, beside a sibling alike",
        faults={"mask": 1},
        total=1,
    )
    yield Scenario(name="a late XCom, one task", tasks=_ONE, faults={"linger": 1, "die": 1, "lose": 1})
    yield Scenario(name="a late XCom, two alike", faults={"linger": 1, "lose": 1}, person=True)
    yield Scenario(
        name="two runs, alike",
        tasks=_TWO_RUNS,
        faults=_CRASHES,
        total=1,
        person=True,
    )
    for what, faults, total, small in (
        ("refusals", {"refuse": 2, "post_execute": 1}, 2, True),
        ("one fault", {**_ANY, "again": 1, "stall": 1}, 1, True),
        ("two crashes", _CRASHES, 2, False),
    ):
        yield Scenario(
            name=f"used again, two runs, {what}",
            tasks=_TWO_RUNS,
            airflow="ledger",
            reuses=True,
            person=True,
            faults=faults,
            total=total,
            small=small,
        )
    yield Scenario(name="two runs, different", tasks=(Wish(), Wish(OWL, run="two")), faults=_CRASHES, total=1)


SCENARIOS: tuple[Scenario, ...] = tuple(_scenarios())
