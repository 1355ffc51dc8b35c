"""The simulator as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import requests

MODULE = ("-m", "airflow_provider_kling.simulator")


def started(*options):
    command = [sys.executable, *MODULE, "--port", "0", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603  our own


def done(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603  our own


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_once_it_answers_and_stops_when_told(stop):
    with started("--time-scale", "500", "--api-key", "SG_1111111111111111", "--credits", "3") as process:
        url = process.stdout.readline().split()[-1]
        answer = requests.get(f"{url}/v1/get-user-credits", headers={"x-api-key": "SG_1111111111111111"}, timeout=10)
        assert answer.json()["credits"] == 3
        process.send_signal(stop)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_port_that_is_taken_is_said_in_one_line(shared):
    port = shared.url.rpartition(":")[2]
    ended = done(*MODULE, "--port", port)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Cannot listen on 127.0.0.1:{port}: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["--time-scale", "--height"])
def test_a_setting_that_means_nothing_is_a_usage_error(option):
    ended = done(*MODULE, "--port", "0", option, "0")
    assert ended.returncode == 2
    assert "usage:" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("library", ["PIL", "av"])
def test_a_missing_extra_is_said_in_one_line(library):
    script = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from airflow_provider_kling.simulator.__main__ import main\n"
        "sys.exit(main(['--port', '0']))"
    )
    ended = done("-c", script)
    assert ended.returncode == 1
    advice = f"The simulator draws with {library}: pip install 'airflow-provider-kling[simulator]'\n"
    assert ended.stderr == advice


def test_importing_the_package_loads_neither_server_nor_drawing_libraries():
    script = (
        "import sys, airflow_provider_kling.simulator\n"
        "print({'aiohttp', 'PIL', 'av'} & set(sys.modules))\n"
        "from airflow_provider_kling.simulator import Simulator\n"
        "print({'airflow', 'pydantic', 'airflow_provider_kling.payloads'} & set(sys.modules))"
    )
    assert done("-c", script).stdout.split("\n")[:2] == ["set()", "set()"]
