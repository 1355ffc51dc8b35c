"""
When to poll for a job.

Pure: the time, the age of a job and chance are arguments. A poll is worth its cost when a job is likely to be done:
with the hazard ``h(age)``, the rate at which a still running job ends, polls ``sqrt(2 * worth / h)`` apart give the
least delay for their number.

What must not be relaxed:

* The next poll depends on the job's age and nothing else, so a restart picks up where it was.
* The pause before the next poll has a limit, however unlikely a job's end is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A job that is refused at once has FAILED by this age, in seconds.
EARLY_POLL = 2.0
#: How many seconds of delay one poll is worth.
SECONDS_PER_POLL = 0.214
#: Shortest and longest pause between two polls once the job may be done, in seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: The shortest pause of all, for a simulator's jobs.
QUICKEST = 0.2
#: How much a pause is stretched or shrunk at random, so that polls of jobs submitted together spread out.
JITTER = 0.05
#: How the durations of one model scatter, as the sigma of their logarithm.
SPREAD = 0.25
#: The longest plausible duration: about thirty times the published duration of the slowest model.
LONGEST_DURATION = 6 * 3600.0
#: The shortest plausible duration.
SHORTEST_DURATION = 0.5
#: The longest time from the previous poll to the first close one; even the slowest model does not need more.
LONGEST_WAIT = 600.0
#: For a model of which nothing is known: the median duration in seconds, and the scatter.
UNKNOWN_MEDIAN, UNKNOWN_SPREAD = 180.0, 0.6
#: The share of jobs with durations unrelated to the expectation, and how those scatter.
ODD_SHARE, ODD_SPREAD = 0.02, 1.0
#: The first close poll comes this many sigmas before the median: one job in fifty is done by then.
EARLIEST = 2.0
#: The weight of the published duration, in observed jobs.
PRIOR_WEIGHT = 8.0
#: At most this many jobs of a model count; older ones fade.
MEMORY = 100


@dataclass(frozen=True, slots=True)
class Expectation:
    """
    How long jobs of a model take, in seconds: lognormal, with a few that are odd.

    :param median: half of the jobs are done by then.
    :param spread: the sigma of the logarithm.
    """

    median: float = UNKNOWN_MEDIAN
    spread: float = UNKNOWN_SPREAD

    def running_after(self, age: float) -> float:
        """Return the share of jobs that still run at an age."""
        if age <= 0:
            return 1.0
        usual = math.erfc(self._z(age, self.spread) / math.sqrt(2)) / 2
        odd = math.erfc(self._z(age, ODD_SPREAD) / math.sqrt(2)) / 2
        return (1 - ODD_SHARE) * usual + ODD_SHARE * odd

    def hazard(self, age: float) -> float:
        """Return how many of the jobs that still run at an age end in the next second."""
        usual = self._density(age, self.spread)
        odd = self._density(age, ODD_SPREAD)
        running = self.running_after(age)
        return ((1 - ODD_SHARE) * usual + ODD_SHARE * odd) / running if running > 0 else 0.0

    def ended_between(self, last_poll: float, age: float) -> float:
        """Return how likely a job that ran at its last poll is over at an age."""
        before = self.running_after(last_poll)
        return 1 - self.running_after(age) / before if before > 0 else 1.0

    def _z(self, age: float, spread: float) -> float:
        return math.log(age / self.median) / spread

    def _density(self, age: float, spread: float) -> float:
        z = self._z(age, spread)
        return math.exp(-z * z / 2) / (age * spread * math.sqrt(2 * math.pi))


def next_poll(age: float, expectation: Expectation, *, chance: float = 0.5) -> float:
    """
    Return at which age to poll next for a job that still runs.

    :param age: seconds since it was submitted.
    :param chance: between 0 and 1, for the jitter.
    """
    if age < EARLY_POLL:
        return EARLY_POLL
    earliest = expectation.median * math.exp(-EARLIEST * expectation.spread)
    if age < earliest:
        return min(earliest, age + LONGEST_WAIT)
    hazard = expectation.hazard(age)
    pause = math.sqrt(2 * SECONDS_PER_POLL / hazard) if hazard > 0 else LONGEST_PAUSE
    return age + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE) * (1 + JITTER * (2 * chance - 1))


@dataclass(slots=True)
class _Seen:
    """The durations of one model's jobs: their number, mean and squared deviations, of the logarithm."""

    count: float
    mean: float
    deviations: float


@dataclass(slots=True)
class Durations:
    """The durations that are known of each model's jobs, starting from the published ones."""

    _seen: dict[str, _Seen] = field(default_factory=dict)

    def expect(self, model: str | None, usual: float | None) -> Expectation:
        """
        Return what to expect of a model.

        :param usual: its published average in seconds, where there is one.
        """
        seen = self._of(model, usual)
        return Expectation(math.exp(seen.mean), min(max(math.sqrt(seen.deviations / seen.count), 0.1), 1.0))

    def observe(self, model: str | None, usual: float | None, seconds: float) -> None:
        """Learn from a job's duration; an implausible one is ignored."""
        if model is None or not SHORTEST_DURATION <= seconds <= LONGEST_DURATION:
            return
        seen = self._of(model, usual)
        if seen.count >= MEMORY:
            seen.deviations *= (MEMORY - 1) / seen.count
            seen.count = MEMORY - 1
        seen.count += 1
        step = math.log(seconds) - seen.mean
        seen.mean += step / seen.count
        seen.deviations += step * (math.log(seconds) - seen.mean)
        self._seen[model] = seen

    def learn(self, model: str, usual: float | None, durations: Iterable[float]) -> None:
        """Replace what is known of a model by the durations of its last jobs, in seconds and oldest first."""
        self._seen.pop(model, None)
        for seconds in durations:
            self.observe(model, usual, seconds)

    def _of(self, model: str | None, usual: float | None) -> _Seen:
        if model is not None and model in self._seen:
            return self._seen[model]
        median, spread = (UNKNOWN_MEDIAN, UNKNOWN_SPREAD) if usual is None else (usual, SPREAD)
        return _Seen(PRIOR_WEIGHT, math.log(median), PRIOR_WEIGHT * spread**2)


@dataclass(slots=True)
class Job:
    """
    What decides when to poll for a job; all times are seconds since the epoch.

    :param submitted_at: when it was submitted.
    :param expectation: how long jobs of its model take.
    :param interval: a fixed pause between two polls that overrides the schedule.
    :param last_poll: when it was last polled; at first, when it was submitted.
    :param time_scale: how many times as fast as Segmind a simulator runs it.
    """

    submitted_at: float
    expectation: Expectation
    interval: float | None = None
    last_poll: float = field(default=-math.inf)
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        self.last_poll = max(self.last_poll, self.submitted_at)

    @property
    def age(self) -> float:
        """Return how old it was at the last poll, in seconds."""
        return self.last_poll - self.submitted_at

    def seen(self, now: float) -> None:
        """Record a poll."""
        self.last_poll = now

    def pause(self, now: float, *, chance: float = 0.5) -> float:
        """Return how many seconds to wait before the next poll."""
        if self.interval is not None:
            return self.interval
        age = self._scaled(now)
        return max((next_poll(age, self.expectation, chance=chance) - age) / self.time_scale, QUICKEST)

    def likely_over(self, now: float) -> float:
        """Return the probability that it is over by now, given that it ran at the last poll."""
        return self.expectation.ended_between(self._scaled(self.last_poll), self._scaled(now))

    def _scaled(self, now: float) -> float:
        return max(now - self.submitted_at, 0.0) * self.time_scale
