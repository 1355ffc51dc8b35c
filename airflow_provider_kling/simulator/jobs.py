"""The life of a job and what it costs, as pure state: time comes from a clock that is handed in.

A job ends when its latency has passed and its file is drawn, whichever is later. Nothing runs on a timer:
`Books.settle` carries out, in the order of time, whatever has come due since it was last asked.
"""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.simulator.catalogue import Model, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECORD_SECONDS = 3600.0
FURTHEST = 100 * 365 * 24 * 3600.0
FILE_SECONDS = 7 * 24 * 3600.0


class Status(StrEnum):
    """Where a job is; there is no way to cancel one."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        """Nothing changes after this."""
        return self in (Status.COMPLETED, Status.FAILED)


class Clock:
    """Wall time that can be moved forward, so that an hour of expiry takes no hour to test."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._ahead = 0.0

    def now(self) -> float:
        """Seconds since the epoch, as this simulator sees them."""
        return self._source() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move on; running jobs come closer to their end as well."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        if not self._ahead + seconds <= FURTHEST:
            raise ValueError("a clock goes no further than a hundred years")
        self._ahead += seconds


@dataclass(frozen=True)
class Drawn:
    """The run made something: a file under `/generations/`, or for a voice only a value."""

    name: str | None
    content_type: str
    size: int
    value: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Failure:
    """The run came to nothing, and this is what the job will say."""

    error: str


@dataclass
class Job:
    """One accepted submission. Times ending in `_at` are the clock's; the others are simulated seconds."""

    request_id: str
    model: Model
    inputs: Mapping[str, Any]
    reserved: float
    submitted_at: float
    starts_at: float
    due_at: float
    queue_time: float
    inference_time: float
    in_history_at: float
    outcome: Drawn | Failure | None = None
    outcome_at: float = 0.0
    finished_at: float | None = None
    billed: float = 0.0
    remaining_credits: float = 0.0

    @property
    def ends_at(self) -> float | None:
        """When the job ends, known once it has been drawn. A failed run does not take its whole latency."""
        if self.outcome is None:
            return None
        return max(self.outcome_at, self.starts_at if isinstance(self.outcome, Failure) else self.due_at)

    def status(self, now: float) -> Status:
        """Judge where the job is."""
        if self.finished_at is not None:
            return Status.FAILED if isinstance(self.outcome, Failure) else Status.COMPLETED
        return Status.QUEUED if now < self.starts_at else Status.PROCESSING

    def has_record(self, now: float) -> bool:
        """Tell whether the API still knows the job: an hour from submission, however long it ran."""
        return now - self.submitted_at < RECORD_SECONDS

    def has_file(self, now: float) -> bool:
        """Tell whether the output can still be downloaded."""
        return self.finished_at is not None and now - self.finished_at < FILE_SECONDS

    @property
    def path(self) -> str | None:
        """Where the output is served."""
        if self.finished_at is None or not isinstance(self.outcome, Drawn) or self.outcome.name is None:
            return None
        return f"/generations/{self.outcome.name}"


@dataclass
class Books:
    """Every job ever accepted and the credits behind them. One thread only."""

    clock: Clock
    credits: float
    time_scale: float
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def available(self) -> float:
        """Credits that are neither spent nor reserved by a running job."""
        running = sum(job.reserved for job in self.jobs.values() if job.finished_at is None)
        return round(self.credits - running, 6)

    def accept(self, model: Model, inputs: Mapping[str, Any], row_after: float = 0.0) -> Job:
        """Take the job and reserve its price. From here on it runs to its end, asked for or not."""
        self.settle()
        price = model.price(inputs)
        if self.available < price:
            raise RefusedError(
                406,
                f"Insufficient credits. Available balance: {self.available:.4f}, required: {price:.4f}",
            )
        # Repeatable from one run to the next: what differs is the place in the order of submissions.
        chance = random.Random(f"{model.slug} {len(self.jobs)}")  # noqa: S311  jitter, not a secret
        queue_time = round(chance.uniform(0.1, 0.02 * model.latency), 3)
        inference_time = round(model.latency * chance.uniform(0.92, 1.08), 3)
        now = self.clock.now()
        starts_at = now + queue_time / self.time_scale
        job = Job(
            request_id=str(uuid.uuid4()),
            model=model,
            inputs=inputs,
            reserved=price,
            submitted_at=now,
            starts_at=starts_at,
            due_at=starts_at + inference_time / self.time_scale,
            queue_time=queue_time,
            inference_time=inference_time,
            in_history_at=now + row_after,
        )
        self.jobs[job.request_id] = job
        return job

    def conclude(self, job: Job, outcome: Drawn | Failure) -> None:
        """Note what drawing came to. The job itself ends when its time has come."""
        job.outcome = outcome
        job.outcome_at = self.clock.now()
        self.settle()

    def settle(self) -> None:
        """End the jobs that have come due, bill what completed and release what failed."""
        now = self.clock.now()
        due = [(job.ends_at, job) for job in self.jobs.values() if job.finished_at is None and job.ends_at]
        for ends_at, job in sorted(due, key=lambda pair: pair[0]):
            if ends_at > now:
                break
            job.finished_at = ends_at
            if isinstance(job.outcome, Failure):
                job.inference_time = round(max(ends_at - job.starts_at, 0.005), 3)
            else:
                job.billed = job.reserved
                self.credits -= job.billed
            job.remaining_credits = self.available

    def find(self, text: str) -> Job | None:
        """Find a job of any age by its id, with or without dashes."""
        try:
            request_id = str(uuid.UUID(text))
        except ValueError:
            return None
        self.settle()
        return self.jobs.get(request_id)

    def past(self) -> list[Job]:
        """List the jobs that the history shows by now, oldest first."""
        self.settle()
        now = self.clock.now()
        return [job for job in self.jobs.values() if job.in_history_at <= now]

    def record(self, request_id: str) -> Job:
        """Find a job the API still knows; an expired one cannot be told from one that never was."""
        job = self.find(request_id)
        if job is None or not job.has_record(self.clock.now()):
            raise RefusedError(404, f"Request {request_id} not found")
        return job
