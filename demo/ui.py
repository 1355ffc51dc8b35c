"""`make airflow`: Airflow's own UI with the example DAGs, a finished run, and a simulated Segmind, until Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from demo.airflow_api import DagRun
from demo.airflow_home import (
    EXAMPLE_DAGS,
    LOGIN,
    LOOPBACK,
    SIMULATOR_TIME_SCALE,
    AirflowHome,
    connection_fields,
    free_port,
)
from demo.pictures import FIGURE, PLACE
from demo.problems import DemoError
from demo.processes import stop_on_signals
from demo.progress import Progress
from demo.steps import COST_TASK, DAG_ID, STEPS, saved_files
from demo.target import random_key
from demo.versions import AIRFLOW, AIRFLOW_2

AIRFLOW_PORT = 8080
SIMULATOR_PORT = 8765  # where the example DAG's default pictures are
CHECK_EVERY = 1
_LOGIN = "" if AIRFLOW_2 else f"; user [bold]{LOGIN}[/], password [bold]{LOGIN}[/]"


def main() -> int:
    """Serve the UI until told to stop."""
    stop_on_signals()
    console = Console(soft_wrap=True, highlight=False)
    try:
        _serve(console)
    except DemoError as error:
        console.print(f"[red]airflow:[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
    return 0


def _serve(console: Console) -> None:
    progress = Progress(console)
    port = free_port(SIMULATOR_PORT)
    simulator = f"http://{LOOPBACK}:{port}"
    home = AirflowHome({}, dags=EXAMPLE_DAGS, port=free_port(AIRFLOW_PORT), keep=os.environ.get("KEEP") == "1")
    with home:
        key = random_key()
        progress.say(f"Airflow {AIRFLOW} and a simulated Segmind start")
        options = {"--host": LOOPBACK, "--port": port, "--time-scale": SIMULATOR_TIME_SCALE, "--api-key": key}
        arguments = [str(part) for option in options.items() for part in option]
        home.start("simulator", "airflow_provider_kling.simulator", *arguments)
        with progress.busy("Airflow starts"):
            home.make_databases()
            home.start_components()
            home.wait_for(DAG_ID)
        home.api.post("connections", _connection(port, key))
        progress.say(f"{home.url} is up{_LOGIN}. Its first run begins:")
        run = _first_run(home, simulator, progress)
        _welcome(console, home, run, simulator)
        while True:
            for name in home.start_again():
                progress.say(f"{name} has ended, and is started again")
            time.sleep(CHECK_EVERY)


def _first_run(home: AirflowHome, simulator: str, progress: Progress) -> DagRun:
    """Run the main example once, as a person does who presses Trigger, so that there is something to see."""
    pictures = {"figure": f"{simulator}{FIGURE}", "place": f"{simulator}{PLACE}"}
    run = DagRun.trigger(home.api, DAG_ID, time.strftime("first_run_%Y%m%d_%H%M%S"), pictures)
    progress.say(f"The first run ended: {progress.follow(run, home.check)}")
    return run


def _connection(port: int, key: str) -> dict[str, Any]:
    """Return the connection with a port of its own: Airflow 3.3.2's test button refuses one without (it sends 0)."""
    fields = connection_fields(f"http://{LOOPBACK}", key)
    return {"connection_id": "segmind_default", **fields, "port": port, "extra": json.dumps(fields["extra"])}


def _welcome(console: Console, home: AirflowHome, run: DagRun, simulator: str) -> None:
    video = STEPS[1].wait_task
    kept = [saved_files(xcoms)[0].parent for step in STEPS if (xcoms := run.xcoms(step.keep_task))]
    console.print(f"""
[bold]Airflow[/]     {home.url}{_LOGIN}
            the connection is under Admin, Connections: segmind_default
[bold]First run[/]   {home.url}/{run.page()}
            what it cost           {home.url}/{run.page(COST_TASK)}
            what a sensor returns  {home.url}/{run.page(video, "xcom")}
            its "Kling output"     {home.url}/{run.page(video, "details")}
            its files              {kept[0] if kept else "none"}
[bold]Your DAGs[/]   put them into {EXAMPLE_DAGS}; they show within half a minute
            AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS and …STORE_ALLOWED_PATHS of this shell are theirs too
[bold]Simulator[/]   {simulator}   what was asked of it, drawn and billed
Logs        {home.logs}
""")
    if not simulator.endswith(f":{SIMULATOR_PORT}"):
        console.print(f"Port {SIMULATOR_PORT} is taken. When you trigger the DAG, give these pictures:")
        console.print(f"  Figure  {simulator}{FIGURE}\n  Place   {simulator}{PLACE}\n")
    console.print("Ctrl-C ends all of it.")


if __name__ == "__main__":
    sys.exit(main())
