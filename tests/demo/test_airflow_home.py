"""The small Airflow of the demo: real processes, read through the REST API, and gone at the end."""

import socket
import time

import psutil
import pytest

from demo.airflow_api import DagRun
from demo.airflow_home import COMPONENTS, AirflowHome, free_port
from demo.problems import DemoError

DAG = """
from airflow.providers.common.compat.sdk import DAG, task

with DAG("small", schedule=None):
    @task
    def hands_on():
        return {"url": "http://127.0.0.1/x.png", "cost": 0.035, "urls": ["a", "b"]}

    @task
    def fails(value):
        assert value["cost"] == 0.035
        raise ValueError("The picture is [too] large.")

    fails(hands_on())
"""


@pytest.fixture(scope="module")
def home():
    with AirflowHome({}) as home:
        (home.dags / "small.py").write_text(DAG)
        (home.dags / "faulty.py").write_text("import nothing_of_this_name  # Airflow looks for a DAG here")
        home.make_databases()
        home.start_components()
        home.wait_for("small")
        yield home


@pytest.fixture(scope="module")
def run(home):
    run = DagRun.trigger(home.api, "small", "first", {})
    deadline = time.monotonic() + 180
    while run.state() not in {"success", "failed"}:
        home.check()
        assert time.monotonic() < deadline, run.states()
        time.sleep(0.3)
    return run


def test_a_run_is_read_as_a_user_reads_it(run):
    assert run.state() == "failed"
    assert run.states() == {"hands_on": "success", "fails": "failed"}
    returned = run.xcoms("hands_on")["return_value"]
    assert returned.value == {"url": "http://127.0.0.1/x.png", "cost": 0.035, "urls": ["a", "b"]}
    assert returned.stored_at.tzinfo is not None


def test_the_log_of_a_task_tells_why_it_failed(run):
    assert run.error("fails") == "The picture is [too] large."
    assert "says nothing" in run.error("hands_on")


def test_a_dag_file_that_cannot_be_imported_is_named(home):
    with pytest.raises(DemoError, match=r"faulty\.py: (?s:.*)nothing_of_this_name"):
        home.wait_for("faulty")


def test_a_component_that_cannot_start_is_named_and_nothing_of_the_others_is_left():
    before = set(psutil.Process().children(recursive=True))
    with AirflowHome({}) as home:
        home.start_components()  # without a database
        ours = set(psutil.Process().children(recursive=True)) - before
        with pytest.raises(DemoError, match=rf"({'|'.join(COMPONENTS)}) ended by itself: .*\.log\)"):
            home.wait_for("small")

    assert len(ours) >= len(COMPONENTS)
    assert not [process for process in ours if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert not home.path.exists()


def test_the_environment_holds_nothing_of_whoever_started_it(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__PARALLELISM", "99")
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", "segmind://:SG_of_somebody@")
    monkeypatch.setenv("SEGMIND_API_KEY", "SG_of_somebody")
    monkeypatch.setenv("AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS", "/data/inbox")

    with AirflowHome({"AIRFLOW_CONN_OTHER": "http://"}) as home:
        assert home.env["AIRFLOW__CORE__PARALLELISM"] != "99"
        assert home.env["AIRFLOW_CONN_OTHER"] == "http://"
        assert home.env["AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS"].endswith(",/data/inbox")
        assert "SG_of_somebody" not in " ".join(home.env.values())


def test_a_command_that_fails_is_named_with_its_last_words():
    with AirflowHome({}) as home, pytest.raises(DemoError, match=r"airflow db nonsense ended with code 2: .*nonsense"):
        home.run("airflow", "db", "nonsense")


def test_a_port_that_is_taken_is_left_alone():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert free_port(port) != port
    assert free_port(port) == port


def test_a_component_that_is_killed_is_started_again(home):
    killed = home._started["triggerer"]
    home._started_at["triggerer"] -= 1000
    killed.kill()
    killed.wait()
    assert home.start_again() == ["triggerer"]
    assert home.start_again() == []
    home.check()
