"""The three steps of the example DAG, as its tasks, and what each left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.problems import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from demo.airflow_api import XCom

DAG_ID = "kling_image_to_video_to_edit"
#: The task that adds up what the run cost.
COST_TASK = "run_cost"


@dataclass(frozen=True)
class Step:
    """A submission, the sensor that waits for it, and the task that keeps what it made."""

    number: int
    name: str
    submit_task: str
    wait_task: str
    keep_task: str

    @property
    def tasks(self) -> tuple[str, str, str]:
        """Its tasks, in order."""
        return self.submit_task, self.wait_task, self.keep_task

    @property
    def title(self) -> str:
        """How a person knows the step."""
        return f"{self.number} {self.name}"


STEPS = (
    Step(1, "image", "submit_image", "image", "keep_image"),
    Step(2, "video", "submit_video", "video", "keep_video"),
    Step(3, "edit", "submit_edit", "edit", "keep_edit"),
)


@dataclass(frozen=True)
class Outcome:
    """What a step's tasks left in XCom, and how long the job took as seen from Airflow."""

    step: Step
    model: str
    request_id: str
    url: str
    cost: float
    metrics: dict[str, Any]
    seconds: float
    file: Path
    sidecar: Path


def read_outcome(step: Step, xcoms: Mapping[str, Mapping[str, XCom]]) -> Outcome:
    """Read what a step's tasks handed on, given by task and key; raises when any of it is missing."""
    submitted, waited, kept = (xcoms[task] for task in step.tasks)
    wanted = {
        step.submit_task: {"return_value", "model"} - submitted.keys(),
        step.wait_task: {"return_value", "url", "cost", "metrics"} - waited.keys(),
        step.keep_task: {"return_value"} - kept.keys(),
    }
    for task, missing in wanted.items():
        if missing:
            raise DemoError(f"Task {task} left no XCom {' and no '.join(sorted(missing))}")
    file, sidecar = saved_files(kept)
    return Outcome(
        step=step,
        model=submitted["model"].value,
        request_id=submitted["return_value"].value,
        url=waited["url"].value,
        cost=float(waited["cost"].value),
        metrics=waited["metrics"].value,
        seconds=(waited["return_value"].stored_at - submitted["return_value"].stored_at).total_seconds(),
        file=file,
        sidecar=sidecar,
    )


def saved_files(xcoms: Mapping[str, XCom]) -> tuple[Path, Path]:
    """Return the file that a task saved, and the description beside it."""
    (stored,) = xcoms["return_value"].value
    return _local(stored["path"]), _local(stored["sidecar"])


def _local(url: str) -> Path:
    return Path(url.removeprefix("file://"))
