"""Kill task processes at chosen moments in the life of a paid job, and count what a user would count."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tests.conftest import AIRFLOW_3, AIRFLOW_3_1, AIRFLOW_3_3
from tests.e2e.airflow_processes import sigkill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kling.simulator import Simulator
    from tests.e2e.airflow_processes import Airflow
    from tests.e2e.proxy import Hold

#: A lane kills one run after the other; lanes run side by side, each with a model of its own.
LANES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("kling-3-text2image", {}),
    ("kling-o3-text2video", {"duration": "3"}),
    ("kling-1.6-text2video", {}),
    ("kling-3-standard-text2video", {"duration": "3"}),
)
RANDOM_SECONDS = 3.0
#: Airflow 3.0 fails a task whose process was killed, whatever its retries; there its user clears it.
RETRIES_THE_KILLED = AIRFLOW_3_1 or not AIRFLOW_3
RUN_SECONDS = 240


class Moment(StrEnum):
    """When the task process dies."""

    NEVER_TAKEN = "POST held, never accepted"
    TAKEN_LATER = "POST held, accepted after the death"
    BEFORE_REPLY = "accepted, before the reply"
    BEFORE_RECORD = "between reply and record"
    BEFORE_XCOM = "between record and XCom"
    RANDOM = "at a random moment"


#: The moments of this Airflow: workers send a server nothing before 3.0, and no task state before 3.3.
MOMENTS = tuple(
    moment
    for moment in Moment
    if not (moment is Moment.BEFORE_XCOM and not AIRFLOW_3) and not (moment is Moment.BEFORE_RECORD and not AIRFLOW_3_3)
)
#: Waits until a task stands still; returns the request that is held, if it is one to Airflow.
Standstill = Callable[[], "Hold | None"]


@dataclass(frozen=True)
class Stage:
    """Where one kill takes place."""

    airflow: Airflow
    sim: Simulator
    dag_id: str
    model: str
    run_id: str

    def wait(self, happened: Callable[[], Any]) -> None:
        """Wait until something has happened to the run."""
        self.airflow.wait_until(happened, f"{self.run_id} comes to its moment", seconds=90, every=0.02)

    def hold(self, method: str, path: str, holds: Callable[[Any], bool] = lambda _: True) -> Standstill:
        """Hold the next request to Airflow that matches."""
        hold = self.airflow.proxy.hold(method, path, holds)

        def held() -> Hold:
            self.wait(hold.reached.is_set)
            return hold

        return held

    def posted(self) -> bool:
        """Whether Segmind has the POST."""
        return any(
            request["method"] == "POST" and self.run_id in str(request["body"]) for request in self.sim.requests()
        )

    def accepted(self) -> str | None:
        """Return the accepted job's id."""
        jobs = self.sim.ledger()["jobs"]
        return next((job["request_id"] for job in jobs if self.run_id in str(job["inputs"])), None)

    def polled(self) -> bool:
        """Whether the job was asked for, so that its id has arrived."""
        request_id = self.accepted()
        return request_id is not None and any(request_id in request["path"] for request in self.sim.requests())


@dataclass(frozen=True)
class Contestant:
    """
    A way to run a Kling job that is put to the test.

    :param name: begins the ids of its DAGs.
    :param dag_file: writes the file of one DAG for each lane.
    :param task_id: the task that submits.
    :param record: makes it stand still at its write of the accepted job's id, or at the nearest there is.
    :param xcom: makes it stand still at its first XCom after that.
    """

    name: str
    dag_file: Callable[[Contestant], str]
    task_id: str
    record: Callable[[Stage], Standstill]
    xcom: Callable[[Stage], Standstill]

    def dag_id(self, lane: int) -> str:
        """Return the id of a lane's DAG."""
        return f"{self.name}_{lane}"


@dataclass
class Tally:
    """What came of the kills."""

    kills: Counter[str] = field(default_factory=Counter)
    runs: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def schedule(kills: int, seed: int = 7) -> list[Moment]:
    """Return the moments of so many kills: every kind as often as the others, in an order that seed decides."""
    moments = list(itertools.islice(itertools.cycle(MOMENTS), kills))
    random.Random(seed).shuffle(moments)  # noqa: S311 an order, no secret
    return moments


def carry_out(airflow: Airflow, sim: Simulator, contestant: Contestant, moments: Sequence[Moment]) -> Tally:
    """Kill a task at each moment, one run for each, let Airflow retry, and wait for the runs' ends."""
    airflow.write_dag(contestant.name, contestant.dag_file(contestant))
    tally, waiting, begun = Tally(), list(enumerate(moments)), time.monotonic()
    lock = threading.Lock()

    def drive(lane: int) -> None:
        while True:
            with lock:
                if not waiting or tally.problems:
                    return
                number, moment = waiting.pop(0)
            try:
                _one(airflow, sim, contestant, lane, moment, f"{contestant.name}-{number:03d}", tally)
            except Exception as problem:  # noqa: BLE001 it is shown by the test, and ends the lanes
                tally.problems.append(f"{moment} in lane {lane}: {type(problem).__name__}: {problem}")

    threads = [threading.Thread(target=drive, args=(lane,)) for lane in range(len(LANES))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.seconds = time.monotonic() - begun
    return tally


def _one(
    airflow: Airflow, sim: Simulator, contestant: Contestant, lane: int, moment: Moment, name: str, tally: Tally
) -> None:
    """Kill one task once; a task that was quicker than a random kill gives way to another run."""
    for again in itertools.count():
        stage = Stage(airflow, sim, contestant.dag_id(lane), LANES[lane][0], f"{name}-{again}")
        if _killed(stage, contestant, moment, tally):
            return


def _killed(stage: Stage, contestant: Contestant, moment: Moment, tally: Tally) -> bool:
    """Start a run, kill its task at the moment, let it come to its end; return whether the kill came in time."""
    airflow, run_id = stage.airflow, stage.run_id
    reached = _arrange(stage, contestant, moment)
    airflow.trigger(stage.dag_id, run_id)
    process = airflow.wait_until(
        lambda: airflow.task_process(run_id, contestant.task_id), f"{run_id} runs", seconds=90, every=0.1
    )
    hold = reached()
    killed = sigkill(process)
    if hold is not None:
        hold.let_go.set()
    tally.kills[moment] += killed
    state = airflow.run_ends(run_id, seconds=RUN_SECONDS)
    if state == "failed" and not RETRIES_THE_KILLED:
        airflow.clear(stage.dag_id, run_id, contestant.task_id)
        state = airflow.run_ends(run_id, seconds=RUN_SECONDS)
    tally.runs[run_id] = state
    return killed


def _arrange(stage: Stage, contestant: Contestant, moment: Moment) -> Standstill:
    """Order what makes the task stand still at the moment; return what waits until it does."""
    match moment:
        case Moment.NEVER_TAKEN:
            stage.sim.order_fault("hold", method="POST", model=stage.model)
            return lambda: stage.wait(stage.posted)
        case Moment.TAKEN_LATER:
            stage.sim.order_fault("hold", method="POST", model=stage.model, seconds=3)
            return lambda: stage.wait(stage.posted)
        case Moment.BEFORE_REPLY:
            stage.sim.order_fault("hold_after", method="POST", model=stage.model)
            return lambda: stage.wait(stage.accepted)
        case Moment.BEFORE_RECORD:
            return contestant.record(stage)
        case Moment.BEFORE_XCOM:
            return contestant.xcom(stage)
        case Moment.RANDOM:
            seconds = random.Random(stage.run_id).uniform(0, RANDOM_SECONDS)  # noqa: S311 a moment, no secret
            return lambda: time.sleep(seconds)
