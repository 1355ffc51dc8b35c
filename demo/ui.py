"""`make airflow`: Airflow's own UI with the example DAGs and a simulated Segmind, until Ctrl-C."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import psutil
import requests
from rich.console import Console
from rich.markup import escape

from demo.airflow_home import ROOT, AirflowHome, connection_json
from demo.pictures import FIGURE, PLACE
from demo.problems import DemoError
from demo.target import random_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOOPBACK = "127.0.0.1"
LOGIN = "admin"
AIRFLOW_PORT = 8080
SIMULATOR_PORT = 8765  # where the example DAG's default pictures are
START_SECONDS = 180
STOP_SECONDS = 15
LOOK_EVERY = 0.5
AUTH_MANAGER = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"


def main() -> int:
    """Serve the UI until told to stop."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    if version("apache-airflow").startswith("2."):
        raise DemoError("This shows the UI of Airflow 3; leave out AIRFLOW=2…")
    port = _free_port(AIRFLOW_PORT)
    base_url = f"http://{LOOPBACK}:{port}"
    with ExitStack() as stack:
        home = stack.enter_context(AirflowHome(_settings(port, base_url), keep=os.environ.get("KEEP") == "1"))
        passwords = home.path / "passwords.json"
        passwords.write_text(json.dumps({LOGIN: LOGIN}))
        home.env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] = str(passwords)

        key = random_key()
        console.print("Starting the simulator and Airflow, half a minute …")
        simulator = stack.enter_context(_simulator(home, key))
        log = stack.enter_context((home.path / "airflow.log").open("wb"))
        home.run("db", "migrate", log=log)
        home.run("connections", "add", "segmind_default", "--conn-json", _connection(simulator, key), log=log)
        airflow = stack.enter_context(_stopped_at_the_end(home.start("standalone", log=log)))
        _wait_until_healthy(base_url, airflow, home.path / "airflow.log")
        _welcome(console, base_url, simulator, home)
        try:
            airflow.wait()
        except KeyboardInterrupt:
            console.print("Stopping …")
            raise
        raise DemoError(f"Airflow stopped by itself: {_last_line(home.path / 'airflow.log')}")


def _connection(simulator: str, key: str) -> str:
    """Return the connection with a port of its own: Airflow 3.3.2's test button refuses one without (it sends 0)."""
    host, _, port = simulator.rpartition(":")
    return json.dumps({**json.loads(connection_json(host, key)), "port": int(port)})


def _settings(port: int, base_url: str) -> dict[str, str]:
    """Keep Airflow on this machine, with one known user, and out of the way of any other Airflow."""
    return {
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": base_url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__AUTH_MANAGER": AUTH_MANAGER,
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base_url}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:admin",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(_free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(_free_port()),
    }


@contextmanager
def _simulator(home: AirflowHome, key: str) -> Iterator[str]:
    """Run a simulator of its own process, on its usual port when that is free, and give its address."""
    command = [sys.executable, "-m", "airflow_provider_kling.simulator", "--api-key", key]
    command += ["--host", LOOPBACK, "--port", str(_free_port(SIMULATOR_PORT))]
    process = subprocess.Popen(
        command, cwd=ROOT, env=home.env, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with _stopped_at_the_end(process):
        line = process.stdout.readline() if process.stdout else ""
        if "http://" not in line:
            raise DemoError("The simulator did not start")
        yield line.split()[-1]


@contextmanager
def _stopped_at_the_end(
    process: subprocess.Popen[bytes] | subprocess.Popen[str],
) -> Iterator[subprocess.Popen[bytes] | subprocess.Popen[str]]:
    """Stop a process in order, and then whatever it started and left behind."""
    try:
        yield process
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave anything running
        started = _family(process)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(started, timeout=STOP_SECONDS)
        for survivor in alive:
            with suppress(psutil.NoSuchProcess):
                survivor.kill()
        psutil.wait_procs(alive, timeout=STOP_SECONDS)
        process.wait()


def _family(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> Sequence[psutil.Process]:
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _wait_until_healthy(base_url: str, airflow: subprocess.Popen[bytes] | subprocess.Popen[str], log: Path) -> None:
    parts = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if airflow.poll() is not None:
            raise DemoError(f"Airflow did not start: {_last_line(log)}")
        try:
            health = requests.get(f"{base_url}/api/v2/monitor/health", timeout=5).json()
        except requests.RequestException:
            health = {}
        if all((health.get(part) or {}).get("status") == "healthy" for part in parts):
            return
        time.sleep(LOOK_EVERY)
    raise DemoError(f"Airflow was not ready after {START_SECONDS} s: {_last_line(log)}")


def _welcome(console: Console, base_url: str, simulator: str, home: AirflowHome) -> None:
    console.print(f"""
[bold]Airflow[/]     {base_url}   user [bold]{LOGIN}[/], password [bold]{LOGIN}[/]
            the connection is under Admin, Connections: segmind_default
[bold]Simulator[/]   {simulator}   what was asked of it, drawn and billed
Log         {home.path / "airflow.log"}
""")
    if not simulator.endswith(f":{SIMULATOR_PORT}"):
        console.print(f"Port {SIMULATOR_PORT} is taken. When you trigger the DAG, give these pictures:")
        console.print(f"  Figure  {simulator}{FIGURE}\n  Place   {simulator}{PLACE}\n")
    console.print("Ctrl-C stops both.")


def _free_port(wanted: int = 0) -> int:
    """Give the wanted port when it is free, else any that is."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, wanted))
        except OSError:
            return _free_port()
        return int(listener.getsockname()[1])


def _last_line(file: Path) -> str:
    lines = file.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"{file} is empty"


if __name__ == "__main__":
    sys.exit(main())
