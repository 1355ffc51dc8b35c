from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_kling.links.kling import KlingOutputLink
from airflow_provider_kling.sensors.kling import KlingSensor
from tests.conftest import AIRFLOW_3

CHAIN = """
    submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))
    KlingSensor(task_id="done", request_id=submit.output, poll_interval=0.2)
"""


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 asks for the link in its webserver")
def test_the_button_of_a_finished_wait_opens_the_output_and_deferring_logs_no_error(sim, conn_id, run_dag, capfd):
    run = run_dag(CHAIN)
    assert run.state == "success"
    assert run.xcom("done", KlingOutputLink().xcom_key) == sim.ledger()["jobs"][0]["url"]
    assert "XCom not found" not in capfd.readouterr().out


@pytest.mark.skipif(AIRFLOW_3, reason="Airflow 3 asks for the link in the task's process")
def test_the_webservers_copy_of_the_sensor_finds_the_output_in_the_xcom(sim, conn_id, run_dag):
    run = run_dag(CHAIN)
    link, copy = KlingOutputLink(), SimpleNamespace()
    assert link.get_link(copy, ti_key=run.task("done").key) == sim.ledger()["jobs"][0]["url"]
    assert link.get_link(copy, ti_key=run.task("submit").key) == ""


def test_there_is_nothing_to_open_before_the_job_is_done():
    assert KlingOutputLink().get_link(KlingSensor(task_id="a", request_id="x"), ti_key=None) == ""


@pytest.mark.attack("Answer a link that is JavaScript, Markdown, HTML or several lines", "the button opens nothing")
@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://e.com/a\n[x](javascript:alert(1))",
        'https://e.com/"><script>',
        "http://[::1",
        7,
        None,
    ],
)
def test_the_button_opens_addresses_on_the_web_only(url):
    assert KlingOutputLink().get_link(SimpleNamespace(output_url=url), ti_key=None) == ""
    good = SimpleNamespace(output_url="https://e.com/a.mp4?X-Signature=a%2Fb")
    assert KlingOutputLink().get_link(good, ti_key=None) == good.output_url
