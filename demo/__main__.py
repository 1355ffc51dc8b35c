"""`make demo`: run image, video, edit on a real Airflow and leave what it made in `demo-output/`."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from airflow_provider_kling.simulator import Simulator
from demo import pictures as input_pictures
from demo import report
from demo.airflow_api import DagRun
from demo.airflow_home import (
    COMPONENTS,
    EXAMPLE_DAGS,
    OUTPUT,
    ROOT,
    SIMULATOR_TIME_SCALE,
    AirflowHome,
    connection_fields,
)
from demo.leaks import find_leaks
from demo.lineage import chain
from demo.problems import DemoError
from demo.processes import stop_on_signals
from demo.progress import Progress
from demo.steps import COST_TASK, DAG_ID, STEPS, read_outcome
from demo.target import Target, choose_live, random_key
from demo.versions import AIRFLOW

if TYPE_CHECKING:
    from pathlib import Path

    from demo.steps import Outcome

#: The folder that the example names; a copy of it names one in the demo's output.
EXAMPLE_FOLDER = "file:///tmp/kling"
#: Where the DAG keeps what it made, in there.
FILES = "files"
LOGS = "logs"
#: Long after the simulator's jobs are over, on a slow machine too.
RUN_SECONDS = 1200


def main() -> int:
    """Run the demo; its exit code says whether everything was there at the end."""
    stop_on_signals()
    console = Console(soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 120)
    try:
        _demo(console)
    except DemoError as error:
        console.print(f"[red]demo:[/] {escape(str(error))}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("[red]demo:[/] stopped; what was submitted goes on and is billed")
        return 130
    return 0


def _demo(console: Console) -> None:
    live = os.environ.get("LIVE") == "1"
    paid_target = choose_live(console) if live else None
    progress = Progress(console)
    with ExitStack() as stack:
        # A live run needs it as well, for the two pictures that it draws.
        simulator = stack.enter_context(Simulator(api_key=random_key(), time_scale=SIMULATOR_TIME_SCALE))
        target = paid_target or Target(simulator.url, simulator.api_key, live=False)
        connection = connection_fields(target.host, target.api_key, simulated=not live)
        output = _make_output(live)
        home = stack.enter_context(
            AirflowHome(
                {
                    "AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(connection),
                    "AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS": str(output),  # whose pictures the run's parameters name
                },
                logs=output / LOGS,
                keep=os.environ.get("KEEP") == "1",
            )
        )
        example = (EXAMPLE_DAGS / f"{DAG_ID}.py").read_text()
        (home.dags / f"{DAG_ID}.py").write_text(example.replace(EXAMPLE_FOLDER, (output / FILES).as_uri()))
        speed = "" if live else f", a simulator that is {SIMULATOR_TIME_SCALE} times as fast"
        progress.say(f"Segmind is {target.host}{speed}")
        pictures = input_pictures.fetch(simulator.url, output)
        try:
            outcomes, cost = _run(home, pictures, progress, live=live)
            home.ask_to_stop()  # which takes as long as to draw
            progress.say("The run is finished, and Airflow stops")
            report.write_summary(output / "summary.json", outcomes, pictures, target)
            report.draw_storyboard(output / "storyboard.png", outcomes, pictures, target)
            progress.say("Storyboard drawn")
        finally:
            home.stop()
            _check_leaks(target, home, output)  # a run that fails has the most reasons to write down what it was given
        if not live:
            _check_bill(simulator, outcomes)
        console.print(report.table(outcomes))
        console.print(
            f"Billed: {cost['jobs']} jobs, ${cost['total']:.3f} of a budget of ${cost['limit']:.2f} for the run. "
            "The API key is in no file the run left.",
            highlight=False,
        )
        console.print(f"{outcomes[-1].sidecar.name} leads back: {chain(outcomes[-1].sidecar)}", highlight=False)
        console.print(f"Files with their descriptions: {outcomes[0].file.parent.relative_to(ROOT)}/", highlight=False)
        console.print(f"Look at {output.relative_to(ROOT)}/storyboard.png", highlight=False)
        if home.keep:
            console.print(f"AIRFLOW_HOME was kept: {home.path}", highlight=False)


def _run(
    home: AirflowHome, pictures: input_pictures.Pictures, progress: Progress, *, live: bool
) -> tuple[list[Outcome], dict[str, Any]]:
    """Run the DAG as in production; return what its steps left behind, and what the run cost."""
    progress.say(f"Airflow {AIRFLOW} makes its database")
    home.make_databases()
    progress.say(f"Its components start: {', '.join(COMPONENTS)}")
    home.start_components()
    with progress.busy("Airflow starts"):
        home.wait_for(DAG_ID)
    run = DagRun.trigger(home.api, DAG_ID, "demo", pictures.params)
    progress.say(f"{DAG_ID} is triggered, with Airflow's REST API")
    if progress.follow(run, home.check, seconds=math.inf if live else RUN_SECONDS) != "success":
        raise _failure(run, home, progress)
    xcoms = {task: run.xcoms(task) for step in STEPS for task in step.tasks}
    return [read_outcome(step, xcoms) for step in STEPS], run.xcoms(COST_TASK)["return_value"].value


def _make_output(live: bool) -> Path:
    """Make a folder for the results. What was paid for is not overwritten by the next run."""
    output = OUTPUT / time.strftime("live-%Y%m%d-%H%M%S") if live else OUTPUT
    output.mkdir(parents=True, exist_ok=True)
    for file in output.glob("*.*"):
        if file.is_file():
            file.unlink()
    for folder in (FILES, LOGS):
        shutil.rmtree(output / folder, ignore_errors=True)
    return output


def _failure(run: DagRun, home: AirflowHome, progress: Progress) -> DemoError:
    """Tell what is lost and what is not, in the provider's own words."""
    for step in STEPS:
        if url := run.xcoms(step.wait_task).get("url"):
            progress.say(f"[bold]{step.title}[/] can still be downloaded: {url.value}")
    failed = [task for task, state in run.states().items() if state == "failed"]
    said = " ".join(f"{task}: {run.error(task)}" for task in failed)
    return DemoError(f"The run failed. {said} The logs: {home.logs}")


def _check_leaks(target: Target, home: AirflowHome, output: Path) -> None:
    """Make sure that the key is in no log, file or database row."""
    if leaks := find_leaks(target.api_key, home.path, output):
        raise DemoError(f"The API key was written to {', '.join(map(str, leaks))}")


def _check_bill(simulator: Simulator, outcomes: list[Outcome]) -> None:
    """Compare what the run says it cost with what the simulator billed."""
    billed = {job["request_id"]: round(job["cost_billed"], 6) for job in simulator.ledger()["jobs"]}
    said = {outcome.request_id: round(outcome.cost, 6) for outcome in outcomes}
    if len(billed) != len(STEPS) or billed != said:
        raise DemoError(f"The ledger bills {billed}, the run says {said}")


if __name__ == "__main__":
    sys.exit(main())
