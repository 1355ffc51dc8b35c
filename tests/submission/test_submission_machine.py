"""
The submission protocol against a model of Airflow and Segmind in which anything may die at any moment.

The protocol is the project's own generator, step by step; the model carries the steps out, loses replies,
delays rows of the history, ends attempts before or after a step, clears tasks and changes payloads. What the
model promises is what the grace period assumes: a POST is taken up, and shows in the history, within it, and an
attempt that lives and has its reply begins to store it within it.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindError,
    SegmindServerError,
)
from airflow_provider_kling.segmind.history import HistoryRow
from airflow_provider_kling.segmind.placeholders import filled_in, placeholder
from airflow_provider_kling.segmind.schemas import Receipt
from airflow_provider_kling.submission import steps
from airflow_provider_kling.submission.attempt import attempt
from airflow_provider_kling.submission.record import read_record, withdrawn
from airflow_provider_kling.submission.record_store import RecordStore
from airflow_provider_kling.submission.submission import Submission, fingerprint

if TYPE_CHECKING:
    from airflow_provider_kling.submission.record import Record

MODEL = "kling-o1"
GRACE = 600
#: Longest time from an intent to its POST's acceptance, and from there to the row in the history.
SLOWEST_POST = 100
LATEST_ROW = 400
#: Histories of up to 60 events each: the same in every run of the suite. EXAMPLES=20000 hunts for others at random.
EXAMPLES = int(os.environ.get("EXAMPLES", "250"))
HUNTS = "EXAMPLES" in os.environ
#: Seconds from the start of an attempt to its first step.
START = 0.5
STEPS = Counter()


class AirflowDownError(Exception):
    """An error of Airflow's own: its API server did not answer."""


@dataclass
class Shelf:
    """Keeps one value in Airflow, as task state or as a Variable."""

    value: object = None
    #: How many more writes the API server takes; None is as many as there are.
    writes: list[int] | None = None

    def get(self, *_: object) -> object:
        return self.value

    def set(self, *key_and_value: object) -> None:
        self.write(key_and_value[-1])

    def delete(self, *_: object) -> None:
        self.write(None)

    def write(self, value: object) -> None:
        if self.writes is not None:
            if not self.writes[0]:
                raise AirflowDownError("503")
            self.writes[0] -= 1
        self.value = value


@dataclass
class Job:
    request_id: str
    prompt: str
    body: dict
    created: float
    row_at: float


@dataclass
class Task:
    name: str
    prompt: str
    run: str = "one"
    #: What Airflow keeps of it, as far as this Airflow keeps anything.
    state: Shelf | None = field(default_factory=Shelf)
    variable: Shelf | None = None
    xcom: dict | None = None
    #: Addresses of uploaded files: those that outlive an attempt, and those that siblings see.
    kept: dict = field(default_factory=dict)
    shared: dict = field(default_factory=dict)
    attempt: object = None
    step: object = None
    #: How often Airflow has started it.
    starts: int = 0
    #: What its POST has become, while the reply is on its way.
    accepted: Job | None = None
    #: The job that the attempt returns, which Airflow may or may not count as a success.
    returns: str | None = None
    done: bool = False
    #: Whether the record says that Airflow has counted its success.
    counted: bool = False
    #: Whether a user has cleared it after it had delivered, and so wants another job.
    again: bool = False
    stuck: bool = False
    wanted: str | None = None
    #: When the intent was made whose POST is still to come.
    intends: float | None = None
    #: Until when it stores the id that it was told.
    stores_by: float | None = None
    last_words: list[str] = field(default_factory=list)

    #: The job that its last successful attempt has ended with.
    owns: str | None = None

    @property
    def store(self) -> RecordStore:
        return RecordStore(self.state, self.variable)

    @property
    def record(self) -> Record | None:
        return read_record(self.store.load())


class World(RuleBasedStateMachine):
    """Three tasks of one run or two that may want the same, on an Airflow whose task state outlives a clear (3.3)."""

    files = False
    #: Whether a clear discards the task's state, and with it what the task has published (3.4).
    drops = False
    #: Whether there is task state at all (from 3.3 on).
    has_state = True

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000.0
        self.jobs: list[Job] = []
        self.tasks: list[Task] = []
        self.wanted: Counter[str] = Counter()
        self.uploaded = 0
        self.ids = (f"00000000-0000-4000-8000-{number:012d}" for number in itertools.count())

    @initialize(
        prompts=st.lists(st.sampled_from(["a fox", "a fox", "an owl"]), min_size=1, max_size=3),
        runs=st.lists(st.sampled_from(["one", "one", "two"]), min_size=3, max_size=3),
    )
    def begin(self, prompts: list[str], runs: list[str]) -> None:
        # Tasks of two runs may have the same name.
        self.tasks = [
            Task(f"submit[{runs[:number].count(runs[number])}]", prompt, runs[number])
            for number, prompt in enumerate(prompts)
        ]
        for task in self.tasks:
            task.state = Shelf() if self.has_state else None
            task.variable = Shelf() if self.drops or not self.has_state else None

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.now, UTC)

    # --- what Airflow does

    def start(self, task: Task) -> None:
        """Begin an attempt; Airflow deletes the XComs of the one before."""
        task.starts += 1
        task.shared = {}
        self.delete_xcom(task)
        key = task.prompt
        if task.wanted != key or task.again:
            self.wanted[key] += 1
        task.wanted, task.again = key, False
        self.pass_time(START)
        payload = self.payload(task)
        going = attempt(
            Submission(
                model=MODEL,
                payload=payload,
                fingerprint=fingerprint(MODEL, payload),
                account="",
                task=task.name,
                run=task.run,
                forgotten=task.starts > 1 and task.variable is not None,
                clock=self.clock,
                grace=timedelta(seconds=GRACE),
                **self.money(),
            )
        )
        task.attempt, task.step = going, next(going)

    def payload(self, task: Task) -> dict:
        """Return what is wanted; with files the prompts are the same, and only what a file holds differs."""
        if not self.files:
            return {"prompt": task.prompt}
        return {"prompt": "@Image1", "image_urls": [placeholder(sha256(task.prompt.encode()).hexdigest())]}

    def upload(self, task: Task) -> dict:
        """Upload, or take what is there; now and then two tasks upload in the same moment and do not see it."""
        content = sha256(task.prompt.encode()).hexdigest()
        if content not in task.kept:
            self.uploaded += 1
            others = [] if self.uploaded % 3 == 0 else [other.shared for other in self.tasks if content in other.shared]
            task.kept[content] = others[0][content] if others else f"https://x.example/{self.uploaded}.png"
            STEPS["uploads"] += not others
        task.shared = {content: task.kept[content]}
        return dict(task.shared)

    def succeed(self, task: Task, *, told: bool = True) -> None:
        """Count the attempt as successful, and tell the task, which notes it; it may die before that."""
        task.done, task.owns = True, task.returns
        if told:
            task.store.conclude(self.cost(task.owns), succeeded=True)
            task.counted = True
        self.end(task)

    def cost(self, request_id: str | None) -> float | None:  # noqa: ARG002 what the budget's world looks in
        """Return what a task that succeeds knows of its job's cost."""
        return None

    def end(self, task: Task) -> None:
        task.returns = None
        task.attempt = task.step = task.accepted = task.intends = task.stores_by = None

    def answer(self, task: Task, value: object) -> None:
        """Hand the attempt what came of its step, and see how it goes on."""
        STEPS["steps"] += 1
        task.accepted = None
        was = task.step
        try:
            if isinstance(value, Exception):
                task.step = task.attempt.throw(value)
            else:
                task.step = task.attempt.send(value)
            match was, task.step:
                case steps.Post(), _:
                    if isinstance(value, Receipt) and task.intends is not None:
                        task.stores_by = task.intends + GRACE - 1
                    task.intends = None
                case steps.SaveRecord(), _:
                    task.stores_by = None
                case _, steps.Publish(claim=claim) if not claim.record.unclear and claim.record.request_id is None:
                    task.intends = claim.record.intended_at.timestamp()
        except StopIteration as end:
            task.returns = end.value.request_id
        except (SegmindError, AirflowDownError) as error:
            task.last_words.append(str(error))
            task.stuck = not getattr(error, "retryable", True)
            self.end(task)

    def others(self, task: Task) -> list[object]:
        """Return what Airflow tells of the other tasks."""
        if isinstance(task.step, steps.AskRunning):
            return [other.name for other in self.tasks if other.attempt is not None and other.run == task.run]
        own = isinstance(task.step, steps.AskSiblings)
        return [other.xcom for other in self.tasks if other.xcom is not None and (other.run == task.run) is own]

    def carry_out(self, task: Task) -> object:
        """Do what any step but the POST asks for."""
        match task.step:
            case steps.LoadRecord():
                return task.store.load()
            case steps.SaveRecord(record=record):
                task.store.save(record)
            case steps.DeleteRecord():
                task.store.delete()
            case steps.Publish(claim=claim) | steps.Deliver(claim=claim):
                task.xcom = claim.model_dump(mode="json")
            case steps.AskSiblings() | steps.AskOtherRuns() | steps.AskRunning():
                return self.others(task)
            case steps.Upload():
                return self.upload(task)
            case steps.Withdraw():
                task.xcom = withdrawn(task.name, task.run)
            case steps.AskBills():
                return self.bills()
            case steps.SearchHistory(since=since, until=until):
                return [
                    HistoryRow(
                        request_id=job.request_id.replace("-", ""),
                        model_name=MODEL,
                        model_status="COMPLETED",
                        request_body=repr(job.body),
                        model_created=datetime.fromtimestamp(job.created, UTC),
                    )
                    for job in self.jobs
                    if job.row_at <= self.now and since.timestamp() <= job.created <= until.timestamp()
                ]
            case steps.Pause(seconds=seconds):
                self.pass_time(seconds)
            case steps.Log(line=line):
                task.last_words.append(line)
        return None

    def carry_out_in_part(self, task: Task, writes: int) -> None:
        """Do what a step asks for, as far as so many writes of the record go."""
        shelves = [shelf for shelf in (task.state, task.variable) if shelf is not None]
        left = [writes]
        for shelf in shelves:
            shelf.writes = left
        with suppress(AirflowDownError):
            self.carry_out(task)
        for shelf in shelves:
            shelf.writes = None

    def delete_xcom(self, task: Task) -> None:
        task.xcom = None

    def money(self) -> dict[str, object]:
        """Return what limits the cost of a submission; here nothing does."""
        return {}

    def bills(self) -> list[object]:
        """Return what tasks that wait have told; here nobody waits."""
        return []

    def accept(self, task: Task, row_after: float, later: float = 0) -> Job:
        """Bill a job; a POST that was on its way when its sender died may be taken up a little later."""
        created = min(self.now + later, task.intends + SLOWEST_POST)
        body = filled_in(self.payload(task), task.step.uploads)
        job = Job(next(self.ids), task.wanted, body, created, created + row_after)
        self.jobs.append(job)
        return job

    def pass_time(self, seconds: float) -> None:
        """Move on, but not so far that a POST on its way takes longer than any does."""
        for task in self.tasks:
            if task.intends:
                seconds = min(seconds, task.intends + SLOWEST_POST - self.now)
            if task.stores_by:
                seconds = min(seconds, task.stores_by - self.now)
        self.now += max(seconds, 0)

    def running(self) -> list[Task]:
        return [task for task in self.tasks if task.attempt is not None]

    def pick(self, tasks: list[Task], choice: int) -> Task:
        return tasks[choice % len(tasks)]

    # --- what may happen

    @precondition(lambda self: any(task.attempt is None and not task.done for task in self.tasks))
    @rule(choice=st.integers(0, 2))
    def airflow_starts_an_attempt(self, choice: int) -> None:
        self.start(self.pick([task for task in self.tasks if task.attempt is None and not task.done], choice))

    @precondition(lambda self: self.running())
    @rule(choice=st.integers(0, 2), count=st.integers(1, 6))
    def an_attempt_goes_on(self, choice: int, count: int) -> None:
        task = self.pick(self.running(), choice)
        for _ in range(count):
            if task.attempt is None or task.returns or isinstance(task.step, steps.Post):
                break
            self.answer(task, self.carry_out(task))

    @precondition(lambda self: any(task.returns for task in self.tasks))
    @rule(choice=st.integers(0, 2), fate=st.sampled_from(["counted", "counted", "untold", "post_execute fails"]))
    def a_task_returns(self, choice: int, fate: str) -> None:
        task = self.pick([task for task in self.tasks if task.returns], choice)
        if fate == "post_execute fails":
            self.end(task)
        else:
            self.succeed(task, told=fate == "counted")

    @precondition(lambda self: any(isinstance(task.step, steps.Post) for task in self.tasks))
    @rule(
        choice=st.integers(0, 2),
        fate=st.sampled_from(["reply", "take", "take", "lose", "refuse", "vanish"]),
        row_after=st.integers(0, LATEST_ROW),
    )
    def segmind_deals_with_a_post(self, choice: int, fate: str, row_after: int) -> None:
        task = self.pick([task for task in self.tasks if isinstance(task.step, steps.Post)], choice)
        if fate == "refuse" and task.accepted is None:
            self.answer(task, SegmindServerError("HTTP 500", status_code=500))
            return
        if fate != "vanish" and task.accepted is None:
            task.accepted = self.accept(task, row_after)
        if fate in {"lose", "vanish"}:
            self.answer(task, SegmindAmbiguousSubmitError("no answer"))
        elif fate == "reply":
            self.answer(task, Receipt(request_id=task.accepted.request_id))

    @precondition(lambda self: self.running())
    @rule(
        choice=st.integers(0, 2),
        after=st.booleans(),
        writes=st.integers(1, 2),
        row_after=st.one_of(st.none(), st.integers(0, LATEST_ROW)),
        later=st.integers(0, SLOWEST_POST),
    )
    def a_worker_dies(self, choice: int, after: bool, writes: int, row_after: int | None, later: int) -> None:
        task = self.pick(self.running(), choice)
        STEPS["deaths"] += 1
        if isinstance(task.step, steps.Post):
            if row_after is not None and task.accepted is None:
                self.accept(task, row_after, later)
        elif after and not task.returns:
            self.carry_out_in_part(task, writes)
        self.end(task)

    @precondition(lambda self: any(self.may_fail(task) for task in self.tasks))
    @rule(choice=st.integers(0, 2), done=st.booleans(), writes=st.integers(1, 2))
    def airflow_does_not_answer(self, choice: int, done: bool, writes: int) -> None:
        task = self.pick([task for task in self.tasks if self.may_fail(task)], choice)
        if done:
            self.carry_out_in_part(task, writes)
        self.answer(task, AirflowDownError("503"))

    def may_fail(self, task: Task) -> bool:
        return (
            task.attempt is not None
            and not task.returns
            and not isinstance(task.step, steps.Post | steps.SearchHistory | steps.Pause | steps.Log)
        )

    @precondition(lambda self: any(isinstance(task.step, steps.SearchHistory) for task in self.tasks))
    @rule(choice=st.integers(0, 2))
    def the_history_does_not_answer(self, choice: int) -> None:
        task = self.pick([task for task in self.tasks if isinstance(task.step, steps.SearchHistory)], choice)
        self.answer(task, SegmindServerError("HTTP 500"))

    @rule(seconds=st.integers(1, GRACE + 100))
    def time_passes(self, seconds: int) -> None:
        self.pass_time(seconds)

    @precondition(lambda self: any(task.attempt is None for task in self.tasks))
    @rule(choice=st.integers(0, 2))
    def a_user_clears_a_task(self, choice: int) -> None:
        task = self.pick([task for task in self.tasks if task.attempt is None], choice)
        task.again |= task.counted
        task.done = task.stuck = task.counted = False
        if self.drops:
            task.state = Shelf()
            task.kept, task.shared = {}, {}
            self.delete_xcom(task)

    @precondition(lambda self: any(task.attempt is None and not task.done for task in self.tasks))
    @rule(choice=st.integers(0, 2), prompt=st.sampled_from(["a fox", "an owl"]))
    def a_user_changes_a_payload(self, choice: int, prompt: str) -> None:
        self.pick([task for task in self.tasks if task.attempt is None and not task.done], choice).prompt = prompt

    # --- what must hold

    def teardown(self) -> None:
        """Let everything come to its end without further trouble, and count."""
        for task in self.tasks:
            self.end(task)
        for _ in range(12):
            for task in self.tasks:
                if task.done or task.stuck:
                    continue
                self.start(task)
                while task.attempt is not None and not task.returns:
                    if isinstance(task.step, steps.Post):
                        self.answer(task, Receipt(request_id=self.accept(task, 0).request_id))
                    else:
                        self.answer(task, self.carry_out(task))
                if task.returns:
                    self.succeed(task)
            self.pass_time(300)
        self.check()

    def check(self) -> None:
        assert all(task.done or task.stuck for task in self.tasks), "a task never came to its end"
        bills = Counter(job.prompt for job in self.jobs)
        for prompt, count in bills.items():
            assert count <= self.wanted[prompt], f"{prompt}: {count} billed, {self.wanted[prompt]} wanted"
        held = {
            request_id
            for task in self.tasks
            if task.record is not None
            for request_id in (task.record.request_id, *task.record.former)
        }
        told = "\n".join(line for task in self.tasks for line in task.last_words)
        for job in self.jobs:
            by_time = f"the submit of {MODEL} at"  # an abandoned intent is named by its time
            assert job.request_id in held or job.request_id in told or by_time in told, f"{job} is lost"
        owners = [task.owns for task in self.tasks if task.done]
        assert len(owners) == len(set(owners)), "two tasks hold one job"


class WorldOfFiles(World):
    """The same with pictures that are uploaded, each time under another address."""

    files = True


class WorldOfDroppedState(World):
    """The same on an Airflow that discards a task's state when the task is cleared (3.4)."""

    drops = True


class WorldOfDroppedFiles(WorldOfDroppedState, WorldOfFiles):
    """The same with pictures that are uploaded."""


class WorldWithoutState(World):
    """The same on an Airflow without task state (below 3.3)."""

    has_state = False


@pytest.mark.parametrize("world", [World, WorldOfFiles, WorldOfDroppedState, WorldOfDroppedFiles, WorldWithoutState])
def test_nothing_is_paid_twice_and_nothing_paid_is_lost_whatever_dies_when(world):
    STEPS.clear()
    run_state_machine_as_test(
        world,
        settings=settings(
            max_examples=EXAMPLES,
            derandomize=not HUNTS,
            stateful_step_count=60,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    assert STEPS["steps"] >= 10 * EXAMPLES
    assert STEPS["deaths"] >= EXAMPLES
    assert STEPS["uploads"] >= (EXAMPLES if world.files else 0)
