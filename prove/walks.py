"""Random walks beyond the bounds: more tasks, more attempts, more faults; a seed walks the same way again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.submission.attempt import attempt
from prove.promises import check_always, check_end
from prove.scenarios import FOX, OWL, Scenario, Wish
from prove.state import Violation
from prove.world import World

if TYPE_CHECKING:
    from prove.attempts import Protocol

#: What a walk may meet: four attempts of a task and more, two clears.
_FAULTS = {"die": 4, "lose": 2, "vanish": 2, "refuse": 2, "late": 3, "down": 2, "unread": 2}
_FAULTS |= {"post_execute": 2, "clear": 2, "change": 1, "rotate": 1, "stall": 1, "undo": 1}
#: Events that are no faults.
_CALM = {"start", "resume", "go", "accept", "reply", "count", "land", "tick"}
#: A walk of more events than that is taken to hang.
_LONGEST = 2_000


@dataclass(slots=True)
class Walked:
    """What came of some walks: how many, of how many events, and the first broken promise with its path."""

    walks: int = 0
    events: int = 0
    broken: tuple[str, str] | None = None


def bound(seed: int) -> Scenario:
    """Return what a seed walks through: three tasks, two or three of which want the same, on one of the Airflows."""
    chance = random.Random(seed)  # noqa: S311 no secret
    tasks = tuple(Wish(chance.choice([FOX, FOX, OWL])) for _ in range(3))
    return Scenario(
        name=f"walk {seed}",
        tasks=tasks,
        airflow=chance.choice(["3.3", "3.4", "3.2", "2.11"]),
        faults=_FAULTS,
        total=chance.randint(1, 8),
        looks_for=chance.choice([0, 15]),
        person=True,
    )


def walk(seed: int, protocol: Protocol = attempt) -> tuple[list[str], str | None]:
    """Walk once; return the events, and the promise that was broken."""
    chance = random.Random(seed)  # noqa: S311 no secret
    world = World(bound(seed), protocol)
    path: list[str] = []
    try:
        while len(path) < _LONGEST:
            events = world.events()
            if world.ended:
                check_end(world)
                if not events or chance.random() < 0.5:  # noqa: PLR2004 one in two
                    return path, None
            if not events:
                return path, "4: a task hangs: nothing can happen any more"
            # Most of the time nothing goes wrong, so that faults come at any depth.
            calm = [event for event in events if event.rpartition(".")[2] in _CALM]
            path.append(chance.choice(events if chance.random() < 0.25 or not calm else calm))  # noqa: PLR2004
            world.happen(path[-1])
            check_always(world)
    except Violation as violation:
        return path, str(violation)
    return path, f"4: a task hangs: {_LONGEST} events have not brought it to an end"


def walks(first: int, events: int) -> Walked:
    """Walk from seed to seed until so many events have happened, or a promise is broken."""
    walked = Walked()
    while walked.events < events:
        path, broken = walk(first + walked.walks)
        walked.walks += 1
        walked.events += len(path)
        if broken is not None:
            walked.broken = broken, f"{bound(first + walked.walks - 1).name}: {' '.join(path)}"
            break
    return walked
