"""What is explored: small closed bounds, each with every order of its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from prove.assumptions import CLOCKS_APART, PRICE
from prove.history import Habits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: 3.3 keeps a task's state when it is cleared, 3.4 drops it, 2.11 has none; the latter two have the Variable.
Airflow = Literal["3.3", "3.4", "2.11"]

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
    "linger": "an XCom of a superseded attempt is written late",
    "stall": "a worker stands still while time passes",
    "clear": "a user clears a task",
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
    :param weakness: a documented weakness, or a defect that is not fixed yet, that makes it fail.
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
    weakness: str = ""
    small: bool = True


_ONE = (Wish(),)
_ALIKE = (Wish(), Wish())
_OTHERS = (Wish(), Wish(OWL))
_TWO_RUNS = (Wish(), Wish(run="two"))
#: What may become of a worker and of its POST.
_CRASHES = {"die": 2, "lose": 2, "vanish": 2, "late": 2}
_REFUSALS = {"refuse": 2, "mask": 2, "die": 1}
_AIRFLOWS: tuple[Airflow, ...] = ("3.3", "3.4", "2.11")
_NEAR_MISSES: Mapping[str, Habits] = {
    "as text": Habits(form="as text"),
    "with defaults": Habits(form="with defaults"),
    "cut": Habits(form="cut"),
    "evened": Habits(form="evened"),
    "no time": Habits(form="no time"),
    "no id": Habits(form="no id"),
    "local time": Habits(form="local time", hours_east=2),
    "oldest first": Habits(newest_first=False),
    "days of the east": Habits(hours_east=14, last_day=False),
    "days of the west": Habits(hours_east=-12),
    "a clock ahead": Habits(ahead=CLOCKS_APART),
    "a clock behind": Habits(ahead=-CLOCKS_APART),
}


def _scenarios() -> Iterator[Scenario]:
    for airflow in _AIRFLOWS:
        every = {**_CRASHES, **_REFUSALS, "down": 2, "unread": 1, "post_execute": 1, "clear": 2, "change": 1}
        yield Scenario(name=f"one task, three faults of any kind, Airflow {airflow}", tasks=_ONE, airflow=airflow, faults={**every, "rotate": 1, "stall": 1}, total=3)
        yield Scenario(name=f"two alike, one fault of any kind, Airflow {airflow}", tasks=_ALIKE, airflow=airflow, faults={**every, "rotate": 1, "stall": 1}, total=1)
        yield Scenario(name=f"two alike, two crashes, Airflow {airflow}", tasks=_ALIKE, airflow=airflow, faults={"die": 2, "lose": 2}, total=2, person=True)
    for name, habits in _NEAR_MISSES.items():
        yield Scenario(name=f"history: {name}", tasks=_ONE, habits=habits, faults=_CRASHES, total=2, person=True)
    yield Scenario(name="two runs, alike", tasks=_TWO_RUNS, faults=_CRASHES, total=1)
    yield Scenario(name="late XCom", tasks=_ALIKE, faults={"linger": 1, "die": 1, "lose": 1}, total=2, person=True)
    yield Scenario(name="budget for one", tasks=_ALIKE, faults=_CRASHES, total=1, budget=PRICE)
    yield Scenario(name="two different, two crashes", tasks=_OTHERS, faults=_CRASHES, total=2)


SCENARIOS: tuple[Scenario, ...] = tuple(_scenarios())
