"""Submit and wait as one task: counted are the jobs billed and the files on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.segmind.errors import SegmindInputError

GENERATE = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

made = KlingGenerateOperator(
    task_id="made", payload=O1Image(prompt="@Image1 at night", image_urls=PICTURES), retries={retries}, {arguments}
)
"""
WAYS = ("", "deferrable=False")


def jobs(sim):
    return sim.ledger()["jobs"]


@pytest.mark.parametrize("way", WAYS)
def test_one_task_pays_one_job_and_returns_what_the_sensor_would(sim, conn_id, run_dag, way):
    run = run_dag(GENERATE.format(retries=0, arguments=way))

    assert run.state == "success"
    (job,) = jobs(sim)
    result = run.xcom("made", "return_value")
    assert (result["url"], result["urls"], result["cost"]) == (job["url"], [job["url"]], job["cost_billed"])
    assert result["request_id"] == job["request_id"]
    for key in ("url", "urls", "cost", "metrics"):
        assert run.xcom("made", key) == result[key]
    assert run.xcom("made", "model") == "kling-o1"
    assert run.xcom("made", "submitted_at")


def test_without_waiting_it_returns_the_request_id(sim, conn_id, run_dag):
    run = run_dag(GENERATE.format(retries=0, arguments="wait_for_completion=False"))
    assert run.xcom("made", "return_value") == jobs(sim)[0]["request_id"]


@pytest.mark.parametrize("way", WAYS)
def test_a_retry_delivers_the_job_of_the_attempt_before_it(sim, conn_id, run_dag, way):
    """The first attempt gives up early; the second waits on, or finds it done."""
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=6, status=200, body={"status": "PROCESSING"})
    arguments = f"timeout=0.5, poll_interval=0.2, {way}"
    run = run_dag(GENERATE.format(retries=5, arguments=arguments))
    assert run.state == "success"
    assert run.task("made").try_number > 1
    assert len(jobs(sim)) == 1


LATE = """
def late(context):  # as an attempt that Airflow has given up writes what it had published
    intent = {"version": 2, "fingerprint": "f", "model": "kling-o1", "intended_at": "2026-01-01T00:00Z"}
    context["ti"].xcom_push(key="kling_submission", value={"task": "made", "record": intent})
"""


@pytest.mark.parametrize("way", WAYS)
def test_what_a_given_up_attempt_publishes_late_changes_no_wait(sim, conn_id, run_dag, way):
    run = run_dag(LATE + GENERATE.format(retries=0, arguments=f"pre_execute=late, {way}"))
    assert run.state == "success"
    (job,) = jobs(sim)
    assert run.xcom("made", "return_value")["request_id"] == job["request_id"]


def test_a_deadline_that_passes_says_what_a_retry_and_clearing_do(sim, conn_id, run_dag, capfd):
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body={"status": "PROCESSING"})
    run = run_dag(GENERATE.format(retries=0, arguments="timeout=0.5, poll_interval=0.2"))
    assert run.state == "failed"
    out = capfd.readouterr().out
    assert "continues to wait for the same job" in out
    assert "adopt_request_id" not in out


@pytest.mark.parametrize("way", WAYS)
def test_after_a_failure_that_cost_nothing_a_retry_submits_anew(sim, conn_id, run_dag, way, capfd):
    sim.order_fault("fail_job", error="worker lost")
    run = run_dag(GENERATE.format(retries=2, arguments=way))
    assert run.state == "success"
    assert run.task("made").try_number == 2
    failed, made = jobs(sim)
    assert (failed["status"], failed["cost_billed"]) == ("FAILED", 0.0)
    assert run.xcom("made", "return_value")["request_id"] == made["request_id"]
    assert "A retry, or clearing this task, submits a new job in its place." in capfd.readouterr().out


@pytest.mark.parametrize("way", WAYS)
def test_what_content_rules_blocked_fails_at_once(sim, conn_id, run_dag, way, capfd):
    sim.order_fault("fail_job", error="Content policy violation", times=3)
    run = run_dag(GENERATE.format(retries=3, arguments=way))
    assert run.state == "failed"
    assert run.task("made").try_number == 1
    assert len(jobs(sim)) == 1
    assert "change the prompt or the pictures, then clear this task" in capfd.readouterr().out


def test_a_failure_that_was_charged_is_not_paid_again_by_a_retry(sim, conn_id, run_dag, capfd):
    answer = {"status": "FAILED", "error": "encoder crashed", "metrics": {"cost": 0.035}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=9, status=422, body=answer)
    run = run_dag(GENERATE.format(retries=3, arguments=""))
    assert run.state == "failed"
    assert run.task("made").try_number == 1
    assert len(jobs(sim)) == 1
    assert "It cost $0.035. It is not submitted again by itself." in capfd.readouterr().out


@pytest.mark.parametrize("way", WAYS)
def test_its_files_are_kept_and_described(sim, conn_id, run_dag, tmp_path, way):
    run = run_dag(GENERATE.format(retries=0, arguments=f'store="{tmp_path}", {way}'))

    assert run.state == "success"
    (kept,) = run.xcom("made", "return_value")["files"]
    picture = Path(kept["path"].removeprefix("file://"))
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.is_relative_to(tmp_path)
    sidecar = json.loads(Path(kept["sidecar"].removeprefix("file://")).read_text())
    (job,) = jobs(sim)
    assert (sidecar["request_id"], sidecar["cost"], sidecar["sha256"]) == (
        job["request_id"],
        job["cost_billed"],
        kept["sha256"],
    )
    assert sidecar["payload"] == job["inputs"]


@pytest.mark.parametrize(
    ("store", "words"),
    [
        (
            (
                'Store("/tmp", name="{{ params.shot }}"), params={"shot": "/".join(["東" * 80] * 5)}, '
                'outlets=[AssetAlias("shots")]'
            ),
            "cannot be an asset of Airflow",
        ),
    ],
)
def test_a_place_that_only_shows_when_rendered_and_cannot_work_is_found_before_anything_is_paid(
    sim, conn_id, run_dag, capfd, store, words, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__KLING__STORE_ALLOWED_PATHS", "s4://bucket, /x")
    imports = (
        "from airflow.providers.common.compat.sdk import AssetAlias\n"
        "from airflow_provider_kling.storage.store import Store\n"
    )
    run = run_dag((imports + GENERATE).format(retries=2, arguments=f"store={store}"))
    assert run.state == "failed"
    assert run.task("made").try_number == 1
    assert sim.requests() == []
    out = capfd.readouterr().out
    assert words in out
    assert "Nothing was uploaded, sent or paid. Correct that, then clear this task; correct the run" in out


def test_a_file_that_cannot_be_kept_at_first_costs_no_second_generation(sim, conn_id, run_dag, tmp_path):
    sim.order_fault("respond", method="GET", path="/generations/*", times=6, status=503, body="busy")
    arguments = f'store="{tmp_path}"'
    run = run_dag(GENERATE.format(retries=2, arguments=arguments))
    assert run.state == "success"
    assert run.task("made").try_number > 1
    assert len(jobs(sim)) == 1
    assert len([file for file in tmp_path.rglob("*") if file.suffix == ".png"]) == 1


def test_a_picture_on_disk_becomes_a_video_on_disk_that_can_be_followed_back(sim, conn_id, run_dag, tmp_path):
    from PIL import Image

    source = tmp_path / "in" / "shoe.png"
    source.parent.mkdir()
    Image.new("RGB", (720, 720), "red").save(source)
    run = run_dag(f"""
        from airflow_provider_kling.operators.kling import KlingGenerateOperator

        KlingGenerateOperator(
            task_id="film",
            payload=O3ImageToVideo(prompt="it turns", image_url="{source}", duration="3"),
            store="file://{tmp_path}/out",
        )
    """)

    assert run.state == "success"
    (kept,) = run.xcom("film", "return_value")["files"]
    assert (kept["type"], round(kept["duration"])) == ("video/mp4", 3)
    (made_of,) = json.loads(Path(kept["sidecar"].removeprefix("file://")).read_text())["inputs"]
    assert made_of["path"] == str(source)
    assert made_of["field"] == "image_url"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"poll_interval": 0}, "poll_interval"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": "soon"}, "timeout: 'soon' is neither a number of seconds nor a timedelta"),
        ({"poll_interval": "1"}, "poll_interval: '1' is neither a number of seconds nor a timedelta"),
        ({"orphan_grace": "10"}, "orphan_grace: '10' is neither a number of seconds nor a timedelta"),
        ({"store": "relative/folder"}, "destination"),
        ({"store": "/data", "wait_for_completion": False}, "store"),
    ],
)
def test_arguments_that_cannot_work_show_when_the_dag_is_parsed(arguments, words):
    with pytest.raises(SegmindInputError, match=words):
        KlingGenerateOperator(task_id="a", model="kling-text2video", payload={"prompt": "x"}, **arguments)
