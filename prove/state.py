"""One moment of a scenario: what Airflow and Segmind know, what time it is, and what may still go wrong."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_kling.submission.attempt import attempt
from prove.tasks import DONE, STUCK, Task

if TYPE_CHECKING:
    from prove.attempts import Protocol
    from prove.history import Job
    from prove.scenarios import Scenario

#: The tasks' names in events and stories.
LETTERS = "abcdef"


class Violation(Exception):  # noqa: N818 it is what was looked for, not an error of the program
    """The protocol broke a promise."""


class State:
    """
    One moment of a scenario; times are microseconds since the model's first moment.

    :param protocol: goes through an attempt; another one only to see whether its defect is found.
    """

    def __init__(self, scenario: Scenario, protocol: Protocol = attempt) -> None:
        self.scenario = scenario
        self.protocol = protocol
        self.now = 0
        self.tasks = [Task(number, wish.prompt) for number, wish in enumerate(scenario.tasks)]
        self.jobs: tuple[Job, ...] = ()
        self.wanted: Counter[str] = Counter()
        #: How often each fault may still happen, and how many in all.
        self.left: dict[str, int] = dict(scenario.faults)
        self.total = scenario.total
        #: What messages that end a search say of jobs: ids, and times of submits.
        self.named: frozenset[str] = frozenset()
        self.delivered: frozenset[str] = frozenset()
        self.key_in_use = "own"
        #: The story's words for what an event has led to.
        self.said: list[str] = []
        for task in self.tasks:
            task.seal()

    def fork(self) -> Self:
        """Return a copy; tasks are copied when something happens to them."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.tasks = list(self.tasks)
        other.said = []
        return other

    def key(self) -> tuple[Any, ...]:
        """Return all that the future depends on."""
        return (
            self.now,
            tuple(task.key for task in self.tasks),
            tuple(tuple(job) for job in sorted(self.jobs)),
            tuple(sorted(self.wanted.items())),
            tuple(sorted(self.left.items())),
            self.total,
            tuple(sorted(self.named)),
            tuple(sorted(self.delivered)),
            self.key_in_use,
        )

    @property
    def ended(self) -> bool:
        """Whether every task has come to its end."""
        return all(task.phase in {DONE, STUCK} for task in self.tasks)

    def may(self, fault: str) -> bool:
        """Whether the fault may happen once more."""
        return self.total > 0 and self.left.get(fault, 0) > 0

    def has_happened(self, *faults: str) -> bool:
        """Whether one of the faults has happened."""
        return any(self.left.get(fault, 0) < self.scenario.faults.get(fault, 0) for fault in faults)

    def spend(self, fault: str, task: Task | None = None) -> None:
        """Note that the fault has happened, and in whose try."""
        self.left = {**self.left, fault: self.left[fault] - 1}
        self.total -= 1
        if task is not None:
            task.faulty = True
