from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.segmind.errors import KlingPayloadError, SegmindInputError
from tests.conftest import AIRFLOW_3_3, connection_json

SUBMIT = 'KlingSubmitOperator(task_id="submit", retries=2, payload=O1Image(prompt="@Image1", image_urls=PICTURES))'


def posts(sim):
    return [request for request in sim.requests() if request["method"] == "POST"]


def test_submit_pushes_the_request_id_and_what_stands_beside_it(sim, conn_id, run_dag):
    run = run_dag(SUBMIT)
    assert run.state == "success"
    (job,) = sim.ledger()["jobs"]
    assert run.xcom("submit") == job["request_id"]
    assert run.xcom("submit", "model") == "kling-o1"
    assert run.xcom("submit", "submitted_at").endswith("+00:00")


def test_a_typo_is_an_error_when_the_dag_file_is_parsed():
    with pytest.raises(KlingPayloadError, match="did you mean 'image_urls'"):
        KlingSubmitOperator(task_id="x", payload={"prompt": "x", "image_url": ["https://x/y"]}, model="kling-o1")
    with pytest.raises(SegmindInputError, match="model:"):
        KlingSubmitOperator(task_id="x", payload={"prompt": "x"})
    for slug in ("a/b", "..", "kling o1"):
        with pytest.raises(SegmindInputError, match="model:"):
            KlingSubmitOperator(task_id="x", payload={"prompt": "x"}, model=slug)
    with pytest.raises(KlingPayloadError, match="must be a dict"):
        KlingSubmitOperator(task_id="x", payload=[{"prompt": "x"}], model="kling-o1")


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (
            'KlingSubmitOperator(task_id="x", payload=O1Image(prompt="x", image_url=["https://x/y"]))',
            "KlingPayloadError: O1Image (kling-o1): image_urls: is required; image_url: no such parameter; did",
        ),
        (
            'KlingSubmitOperator(task_id="x", payload=O3TextToVideo(prompt="x", duration=99, mode="slow"))',
            "duration: '99' is not allowed; use '3', '4', '5'",
        ),
    ],
)
def test_the_import_error_of_a_dag_shows_the_line_of_its_file_and_ends_with_the_whole_cause(
    airflow_db, tmp_path, task, told
):
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    file = tmp_path / "clips.py"
    file.write_text(
        "from airflow.providers.common.compat.sdk import DAG\n"
        "from airflow_provider_kling.operators.kling import KlingSubmitOperator\n"
        "from airflow_provider_kling.payloads import *\n"
        f'with DAG("clips", schedule=None):\n    {task}\n'
    )
    (error,) = DagBag(str(file)).import_errors.values()
    assert f'File "{file}", line 5, in <module>' in error
    assert told in error.strip().splitlines()[-1]


def test_the_rendered_payload_is_a_dict_that_airflow_can_show():
    operator = KlingSubmitOperator(task_id="x", payload=O1Image(prompt="{{ ds }}", image_urls=["https://x/y"]))
    assert isinstance(operator, BaseOperator)
    assert operator.payload == {"prompt": "{{ ds }}", "image_urls": ["https://x/y"]}
    assert operator.model == "kling-o1"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("payload=O1Image(prompt=\"{{ '' }}\", image_urls=PICTURES)", "prompt: rendered to ''"),
        ('payload=O1Image(prompt="{{ none }}", image_urls=PICTURES)', "prompt: rendered to 'None'"),
        (
            "payload=O1Image(prompt='x', image_urls=[\"{{ ti.xcom_pull(task_ids='before', key='nothing') }}\"])",
            "image_urls.0: rendered to 'None'",
        ),
        ('payload=O1Image(prompt="x", image_urls=[before["nothing"]])', "nothing"),
        ('payload=before, model="kling-o1"', "payload: must be a dict"),
        ('payload="{{ [1] }}", model="kling-o1"', "payload: must be a dict"),
        ('payload={"prompt": "x"}, model="{{ \'a/b\' }}"', "model: 'a/b' is not a model slug"),
        ('payload={"image": "{{ none }}"}, model="kling-99"', "image rendered to 'None'"),
    ],
)
def test_bad_input_that_shows_up_when_the_task_runs_costs_nothing_and_no_retry(
    sim, conn_id, run_dag, capfd, task, words
):
    run = run_dag(f"""
        @task
        def before():
            return [1]

        before = before()
        submit = KlingSubmitOperator(task_id="submit", retries=2, {task})
        before >> submit
    """)
    assert run.state == "failed"
    assert words in capfd.readouterr().out
    assert posts(sim) == []
    if "nothing" not in words:  # that one is Airflow's own error, and Airflow retries it
        assert run.task("submit").try_number == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "SG_wrong"}, "does not accept the API key"),
        ({"password": ""}, "has no API key"),
        ({"host": "https://api.segmind.com/v2"}, "remove '/v2'"),
        ({"host": "http://segmind.example.com"}, "unencrypted"),
    ],
)
def test_a_connection_that_cannot_work_fails_at_once_and_says_what_to_change(
    sim, run_dag, monkeypatch, capfd, fields, words
):
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, **fields))
    run = run_dag(SUBMIT)
    assert run.state == "failed"
    assert run.task("submit").try_number == 1
    assert words in capfd.readouterr().out
    assert sim.ledger()["accepted"] == 0


@pytest.mark.parametrize(
    "fault",
    [{"status": 500, "body": {"error": "x"}}, {"status": 503, "body": {"error": "x"}}, {"status": 429, "body": ""}],
)
def test_a_refusal_that_passes_is_retried_and_billed_once(sim, conn_id, run_dag, fault):
    sim.order_fault("respond", method="POST", **fault)
    # Without a record, a retry cannot tell a refusal from a lost submit, and waits until that could have turned up.
    run = run_dag(SUBMIT if AIRFLOW_3_3 else SUBMIT.replace("retries", "orphan_grace=0, retries"))
    assert run.state == "success"
    assert run.task("submit").try_number == 2
    assert sim.ledger()["accepted"] == 1


@pytest.mark.parametrize(
    ("status", "text"), [(406, "Insufficient credits"), (403, "not for this team"), (410, "deprecated")]
)
def test_a_refusal_that_no_retry_cures_uses_none(sim, conn_id, run_dag, status, text):
    sim.order_fault("respond", method="POST", times=9, status=status, body={"error": text})
    run = run_dag(SUBMIT)
    assert run.state == "failed"
    assert run.task("submit").try_number == 1
    assert len(posts(sim)) == 1


def test_tasks_are_mapped_over_payloads_and_over_request_ids(sim, conn_id, run_dag):
    run = run_dag("""
        submit = KlingSubmitOperator.partial(task_id="submit").expand(
            payload=[O1Image(prompt=f"@Image1 in colour {n}", image_urls=PICTURES) for n in range(2)]
        )
        KlingSensor.partial(task_id="done", poll_interval=0.2).expand(request_id=submit.output)

        @task
        def prompts():
            return [{"prompt": f"@Image1 in tone {n}", "image_urls": PICTURES} for n in range(2)]

        KlingSubmitOperator.partial(task_id="dicts", model="kling-o1").expand(payload=prompts())
    """)
    assert run.state == "success"
    assert sim.ledger()["accepted"] == 4
    prompts = {job["inputs"]["prompt"] for job in sim.ledger()["jobs"]}
    assert prompts == {"@Image1 in colour 0", "@Image1 in colour 1", "@Image1 in tone 0", "@Image1 in tone 1"}
    results = [run.xcom("done", map_index=index) for index in range(2)]
    assert {result["request_id"] for result in results} <= {job["request_id"] for job in sim.ledger()["jobs"]}


def test_a_payload_may_come_whole_from_a_task_or_as_json_text(sim, conn_id, run_dag):
    run = run_dag("""
        @task
        def write():
            return {"prompt": "@Image1", "image_urls": PICTURES}

        payload = write()
        KlingSubmitOperator(task_id="whole", model="kling-o1", payload=payload)
        KlingSubmitOperator(
            task_id="text", model="kling-o1", payload="{{ ti.xcom_pull(task_ids='write') | tojson }}"
        ).set_upstream(payload)
    """)
    assert run.state == "success"
    assert sim.ledger()["accepted"] == 2


def test_a_model_without_a_class_is_sent_with_a_warning(sim, conn_id, run_dag, capfd):
    receipt = {"request_id": "2c7f59ea-13f1-402c-9353-915a2b5a2124", "status": "QUEUED"}
    sim.order_fault("respond", method="POST", status=200, body=receipt)
    run = run_dag('KlingSubmitOperator(task_id="submit", model="kling-99", payload={"prompt": "a fox", "zoom": 5})')
    assert run.state == "success"
    assert run.xcom("submit") == receipt["request_id"]
    assert "kling-99 has no payload class" in capfd.readouterr().out
    assert [request["path"] for request in posts(sim)] == ["/v2/kling-99"]


def test_parameters_outside_the_known_part_of_a_page_are_sent_with_a_warning(sim, conn_id, run_dag, capfd):
    run = run_dag("""
        KlingSubmitOperator(task_id="submit", payload=V26Video(prompt="a fox", image_url=PICTURES[0]))
    """)
    assert run.state == "success"
    assert "sent unchecked: image_url" in capfd.readouterr().out
    assert sim.ledger()["jobs"][0]["inputs"]["image_url"].startswith(sim.url)


def test_the_log_tells_how_long_the_job_takes_and_what_it_costs(sim, conn_id, run_dag, capfd):
    run_dag('KlingSubmitOperator(task_id="submit", payload=O3TextToVideo(prompt="a fox", duration=3))')
    assert "It usually takes 154 s. Price: $0.63 to $1.05." in capfd.readouterr().out
