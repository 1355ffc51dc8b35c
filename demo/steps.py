"""The three steps of the example DAG, as its tasks, and what each left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from demo.problems import DemoError

if TYPE_CHECKING:
    from demo.run_record import RunRecord

DAG_ID = "kling_image_to_video_to_edit"


@dataclass(frozen=True)
class Step:
    """A submission and the sensor that waits for it."""

    number: int
    name: str
    submit_task: str
    wait_task: str
    file_name: str

    @property
    def title(self) -> str:
        """How a person knows the step."""
        return f"{self.number} {self.name}"


STEPS = (
    Step(1, "image", "submit_image", "image", "1-image.png"),
    Step(2, "video", "submit_video", "video", "2-video.mp4"),
    Step(3, "edit", "submit_edit", "edit", "3-edit.mp4"),
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


def read_outcome(record: RunRecord, step: Step) -> Outcome:
    """Read what a step left behind; raises when any of it is missing."""
    submitted = record.xcoms(step.submit_task)
    waited = record.xcoms(step.wait_task)
    wanted = {
        step.submit_task: {"return_value", "model"} - submitted.keys(),
        step.wait_task: {"return_value", "url", "cost", "metrics"} - waited.keys(),
    }
    for task, missing in wanted.items():
        if missing:
            raise DemoError(f"Task {task} left no XCom {' and no '.join(sorted(missing))}")
    return Outcome(
        step=step,
        model=submitted["model"].value,
        request_id=submitted["return_value"].value,
        url=waited["url"].value,
        cost=float(waited["cost"].value),
        metrics=waited["metrics"].value,
        seconds=(waited["return_value"].stored_at - submitted["return_value"].stored_at).total_seconds(),
    )
