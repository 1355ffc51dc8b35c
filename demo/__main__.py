"""`make demo`: run image, video, edit on a real Airflow and leave what it made in `demo-output/`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from airflow_provider_kling.simulator import Simulator
from demo import pictures as input_pictures
from demo import report
from demo.airflow_home import ROOT, AirflowHome, connection_json, stop
from demo.leaks import find_leaks
from demo.lineage import chain
from demo.media import describe
from demo.problems import DemoError
from demo.progress import Progress
from demo.steps import COST_TASK, DAG_ID, STEPS, read_outcome
from demo.target import Target, choose_live, random_key

if TYPE_CHECKING:
    from demo.steps import Outcome

OUTPUT = ROOT / "demo-output"
#: Where the DAG keeps what it made, in there.
FILES = "files"


def main() -> int:
    """Run the demo; its exit code says whether everything was there at the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
        simulator = stack.enter_context(Simulator(api_key=random_key()))
        target = paid_target or Target(simulator.url, simulator.api_key, live=False)
        output = _make_output(live)
        home = stack.enter_context(
            AirflowHome(
                {"AIRFLOW_CONN_SEGMIND_DEFAULT": connection_json(target.host, target.api_key, simulated=not live)},
                keep=os.environ.get("KEEP") == "1",
            )
        )
        progress.say(f"Segmind is {target.host}{'' if live else ', a simulator that is 20 times as fast'}")
        pictures = input_pictures.fetch(simulator.url, output)
        log = stack.enter_context((output / "airflow.log").open("wb"))
        progress.say("airflow db migrate")
        home.run("db", "migrate", log=log)
        code = _run(home, pictures, output / FILES, log, progress)
        _check_leaks(target, home, output)  # a run that fails has the most reasons to write down what it was given
        if code or home.record.run_state() != "success":
            raise _failure(home, Path(log.name), progress)
        outcomes = [read_outcome(home.record, step) for step in STEPS]
        for outcome in outcomes:
            progress.say(f"[bold]{outcome.step.title}[/] kept: {describe(outcome.file)}")
        report.write_summary(output / "summary.json", outcomes, pictures, target)
        report.draw_storyboard(output / "storyboard.png", outcomes, pictures, target)
        progress.say("Storyboard drawn")

        _check_leaks(target, home, output)
        if not live:
            _check_bill(simulator, outcomes)
        console.print(report.table(outcomes))
        cost = home.record.xcoms(COST_TASK)["return_value"].value
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


def _make_output(live: bool) -> Path:
    """Make a folder for the results. What was paid for is not overwritten by the next run."""
    output = OUTPUT / time.strftime("live-%Y%m%d-%H%M%S") if live else OUTPUT
    output.mkdir(parents=True, exist_ok=True)
    for file in output.glob("*.*"):
        if file.is_file():
            file.unlink()
    shutil.rmtree(output / FILES, ignore_errors=True)
    return output


def _run(home: AirflowHome, pictures: input_pictures.Pictures, files: Path, log: IO[bytes], progress: Progress) -> int:
    """Run the DAG with Airflow's own command line; give the exit code."""
    progress.say(f"airflow dags test {DAG_ID}")
    run = home.start(
        "dags", "test", DAG_ID, "--conf", json.dumps({**pictures.params, "destination": files.as_uri()}), log=log
    )
    try:
        return progress.follow(run, home.record)
    finally:
        stop(run)


def _failure(home: AirflowHome, log: Path, progress: Progress) -> DemoError:
    """Tell what is lost and what is not, in the provider's own words."""
    for step in STEPS:
        if url := home.record.xcoms(step.wait_task).get("url"):
            progress.say(f"[bold]{step.title}[/] can still be downloaded: {url.value}")
    said = re.findall(r"airflow_provider_kling\.\S+Error: (.+)", log.read_text(errors="replace"))
    return DemoError(f"{said[-1] if said else 'The run failed.'} The whole log: {log}")


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
