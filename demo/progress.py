"""Tell a person how a DAG run comes along, one line for each thing that happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from demo.steps import STEPS

if TYPE_CHECKING:
    import subprocess

    from rich.console import Console

    from demo.run_record import RunRecord
    from demo.steps import Step

LOOK_EVERY = 0.4


class Progress:
    """A clock that starts with the demo, and the lines printed beside it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._told: set[str] = set()

    def say(self, line: str) -> None:
        """Print a line with the seconds since the start."""
        self._console.print(f"[dim]{self._seconds():6.1f} s[/]  {line}", highlight=False)

    def follow(self, run: subprocess.Popen[bytes], record: RunRecord) -> int:
        """Print what a run's database shows until its process ends; give the exit code."""
        with self._console.status("Airflow starts") as status:
            while (code := run.poll()) is None:
                status.update(self._look(record))
                time.sleep(LOOK_EVERY)
        self._look(record)
        return code

    def _look(self, record: RunRecord) -> str:
        states = record.states()
        doing = "Airflow reads the DAG"
        for step in STEPS:
            submitted, waited = record.xcoms(step.submit_task), record.xcoms(step.wait_task)
            if "model" in submitted and "return_value" in submitted:
                model, request_id = submitted["model"].value, submitted["return_value"].value
                self._tell_once(f"[bold]{step.title}[/] submitted to {model}: {request_id}")
                doing = f"Waiting for the {step.name}"
            if "cost" in waited and "return_value" in waited:
                self._tell_once(f"[bold]{step.title}[/] [green]done[/] for ${waited['cost'].value:.3f}")
            self._tell_trouble(step, states)
        return doing

    def _tell_trouble(self, step: Step, states: dict[str, str | None]) -> None:
        for task in (step.submit_task, step.wait_task):
            if (state := states.get(task)) in {"failed", "up_for_retry"}:
                self._tell_once(f"[bold]{step.title}[/] [red]task {task} is {state}[/]")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self.say(line)

    def _seconds(self) -> float:
        return time.monotonic() - self._started
