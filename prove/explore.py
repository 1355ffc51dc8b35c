"""Visit every state of a scenario, nearest first, so that the first story found is the shortest."""

from __future__ import annotations

import marshal
import time
from collections import deque
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.submission.attempt import attempt
from prove.promises import check_always, check_end
from prove.state import Violation
from prove.tasks import STUCK
from prove.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prove.attempts import Protocol
    from prove.scenarios import Scenario

#: An event, and the path before it.
Path = tuple[str, Any] | None


@dataclass(slots=True)
class Result:
    """
    What came of a scenario.

    :param ends: states in which every task has come to its end.
    :param asks: those of them in which a task asks a person, or has no money left.
    :param depth: events of the longest path to a new state.
    :param left_out: states that were seen and not looked into, since there was no more time.
    :param broken: the promise that was broken, and the path to it.
    """

    scenario: str
    states: int = 1
    transitions: int = 0
    ends: int = 0
    asks: int = 0
    depth: int = 0
    seconds: float = 0.0
    left_out: int = 0
    broken: tuple[str, str] | None = None


def explore(scenario: Scenario, protocol: Protocol = attempt, *, seconds: float = float("inf")) -> Result:
    """
    Visit every state of the scenario, or stop at the first broken promise.

    :param seconds: after which states are left out, and counted.
    """
    result = Result(scenario.name)
    begun = time.monotonic()
    first = World(scenario, protocol)
    seen = {_digest(first)}
    to_visit: deque[tuple[World, Path, int]] = deque([(first, None, 0)])
    while to_visit:
        if time.monotonic() - begun > seconds:
            result.left_out = len(to_visit)
            break
        world, path, depth = to_visit.popleft()
        events = world.events()
        for event in events:
            result.transitions += 1
            after = world.fork()
            longer: Path = (event, path)
            try:
                after.happen(event)
                digest = _digest(after)
                if digest in seen:
                    continue
                seen.add(digest)
                check_always(after)
                if after.ended:
                    result.ends += 1
                    result.asks += any(task.phase == STUCK for task in after.tasks)
                    check_end(after)
                elif not after.events():
                    raise Violation("4: a task hangs: nothing can happen any more")  # noqa: TRY301
            except Violation as violation:
                result.broken = str(violation), written(scenario, longer)
                to_visit.clear()
                break
            result.depth = max(result.depth, depth + 1)
            to_visit.append((after, longer, depth + 1))
    result.states = len(seen)
    result.seconds = time.monotonic() - begun
    return result


def written(scenario: Scenario, path: Path) -> str:
    """Return a path as one line that ``--replay`` reads."""
    return f"{scenario.name}: {' '.join(reversed(list(_events(path))))}"


def _events(path: Path) -> Iterator[str]:
    while path is not None:
        event, path = path
        yield event


def _digest(world: World) -> bytes:
    # In format 2 equal values are equal bytes: no reference to an earlier object is among them.
    return blake2b(marshal.dumps(world.key(), 2), digest_size=16).digest()
