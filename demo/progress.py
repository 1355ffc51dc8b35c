"""Tell a person how a DAG run comes along, one line for each thing that happens."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.markup import escape

from demo.airflow_api import NotAnsweringError
from demo.media import describe
from demo.problems import DemoError
from demo.steps import STEPS, saved_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.status import Status

    from demo.airflow_api import DagRun
    from demo.steps import Step

POLL_EVERY = 0.8  # the server that answers is also the one that the workers wait for


class Progress:
    """A clock that starts with the demo, and the lines printed beside it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._reported: set[tuple[str, str | None]] = set()

    def say(self, line: str) -> None:
        """Print a line with the seconds since the start."""
        self._console.print(f"[dim]{self._seconds():6.1f} s[/]  {line}", highlight=False)

    def busy(self, what: str) -> Status:
        """Show for as long as the `with` block lasts that something goes on."""
        return self._console.status(what)

    def follow(self, run: DagRun, check: Callable[[], None], *, seconds: float = math.inf) -> str:
        """
        Print what happens in a run until it ends, and return its state.

        :param check: raises when the run cannot end any more.
        :param seconds: after which it should have ended.
        """
        deadline = time.monotonic() + seconds
        with self.busy(f"{run.dag_id} runs"):
            while time.monotonic() < deadline:
                check()
                with suppress(NotAnsweringError):  # which says nothing about the run
                    state = run.state()
                    self._report_news(run)
                    if state in {"success", "failed"}:
                        return state
                time.sleep(POLL_EVERY)
        raise DemoError(f"The run has not ended after {seconds:g} s: {run.states()}")

    def _report_news(self, run: DagRun) -> None:
        states = run.states()
        for step in STEPS:
            for task in step.tasks:
                seen = task, states.get(task)
                if seen not in self._reported:
                    if line := _news(run, step, *seen):
                        self.say(f"[bold]{step.title}[/] {line}")
                    self._reported.add(seen)

    def _seconds(self) -> float:
        return time.monotonic() - self._started


def _news(run: DagRun, step: Step, task: str, state: str | None) -> str | None:
    """Say what it means to a person that a task is in a state, where it means anything."""
    match task, state:
        case _, "failed" | "up_for_retry":
            return f"[red]{task} is {state}[/]: {escape(run.error(task))}"
        case step.submit_task, "success":
            submitted = run.xcoms(task)
            return f"submitted to {submitted['model'].value}: {submitted['return_value'].value}"
        case step.wait_task, "deferred":
            return "waits in the triggerer, and no worker with it"
        case step.wait_task, "success":
            return f"[green]done[/] for ${run.xcoms(task)['cost'].value:.3f}"
        case step.keep_task, "success":
            return f"saved: {describe(saved_files(run.xcoms(task))[0])}"
    return None
