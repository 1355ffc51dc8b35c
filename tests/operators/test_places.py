"""Where the file of a paid job goes is known before it is paid for: counted are requests, bills and files."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from PIL import Image

GENERATE = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.storage.store import Store

made = KlingGenerateOperator(
    task_id="made", payload=O1Image(prompt="@Image1 at night", image_urls=[{picture!r}]), retries=2, store={store}
)
"""
#: A name that says nothing of the run, so that every run wants the same.
FIXED = 'Store("{folder}", name="clip.{{ext}}")'


@pytest.fixture
def picture(tmp_path):
    file = tmp_path / "mug.png"
    Image.new("RGB", (320, 320), "red").save(file)
    return str(file)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "clips"


def dag(picture, store, **names):
    return GENERATE.format(picture=picture, store=store.format(**names))


def files(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def described(folder, name):
    return json.loads((folder / name).read_text())["request_id"]


def jobs(sim):
    return [job["request_id"] for job in sim.ledger()["jobs"]]


def assert_refused_unpaid(sim, run, out, *words):
    assert run.task_state("made") == "failed"
    assert [request for request in sim.requests() if request["method"] == "POST"] == []
    for word in (*words, "Nothing was uploaded, sent or paid."):
        assert word in out


def test_the_file_of_a_cleared_task_takes_the_place_of_its_own_before(sim, conn_id, run_dag, picture, folder):
    """The first example of the README, cleared after its success."""
    name = uuid.uuid4().hex
    store = '"{folder}"'
    first = run_dag(dag(picture, store, folder=folder), again=name)
    (kept,) = first.xcom("made")["files"]
    before = Path(kept["path"].removeprefix("file://")).read_bytes()

    second = run_dag(dag(picture, store, folder=folder).replace("at night", "by day"), again=name)

    assert second.state == "success"
    assert second.task("made").try_number == 1
    assert len(jobs(sim)) == 2
    (kept_anew,) = second.xcom("made")["files"]
    assert (kept_anew["path"], kept_anew["sidecar"]) == (kept["path"], kept["sidecar"])
    after = Path(kept["path"].removeprefix("file://")).read_bytes()
    assert after != before
    assert described(folder, kept["sidecar"].removeprefix(f"file://{folder}/")) == jobs(sim)[1]
    assert len(files(folder)) == 2


def test_a_file_of_the_task_before_that_has_another_ending_is_not_left_without_its_description(
    sim, conn_id, run_dag, picture, folder
):
    name = uuid.uuid4().hex
    assert run_dag(dag(picture, FIXED, folder=folder), again=name).state == "success"
    video = """
        from airflow_provider_kling.operators.kling import KlingGenerateOperator
        from airflow_provider_kling.storage.store import Store

        KlingGenerateOperator(task_id="made", payload=O3TextToVideo(prompt="a fox", duration="3"), store={store})
    """
    second = run_dag(video.format(store=FIXED.format(folder=folder)), again=name)
    assert second.state == "success"
    assert files(folder) == ["clip.json", "clip.mp4"]


def test_a_name_that_another_run_has_is_refused_before_anything_is_paid(sim, conn_id, run_dag, picture, folder, capfd):
    assert run_dag(dag(picture, FIXED, folder=folder)).state == "success"
    (job,) = jobs(sim)
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    asked = len(sim.requests())
    run = run_dag(dag(picture, FIXED, folder=folder))
    assert run.task_state("made") == "failed"
    assert run.task("made").try_number == 1
    assert len(sim.requests()) == asked
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before
    out = capfd.readouterr().out
    assert f"The name 'file://{folder}/clip' belongs to output 0 of request {job} (task made of run" in out
    assert "Nothing was uploaded, sent or paid. Move it away, or put {request_id}" in out
    assert "then clear this task; correct the run's parameters" in out


@pytest.mark.parametrize("name", ["clip.png", "clip.jpg", "clip.json"])
def test_a_users_own_file_is_left_and_nothing_is_paid(sim, conn_id, run_dag, picture, folder, capfd, name):
    folder.mkdir()
    (folder / name).write_text("mine")
    run = run_dag(dag(picture, FIXED, folder=folder))
    assert_refused_unpaid(sim, run, capfd.readouterr().out, f"file://{folder}/{name} is there already")
    assert run.task("made").try_number == 1
    assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize("place", ["/proc/clips", "{file}/clips"])
def test_a_folder_that_cannot_be_written_is_found_before_anything_is_paid(
    sim, conn_id, run_dag, picture, tmp_path, capfd, place
):
    (tmp_path / "file").write_text("no folder")
    run = run_dag(dag(picture, f'"{place.format(file=tmp_path / "file")}"'))
    assert_refused_unpaid(sim, run, capfd.readouterr().out, "destination: 'file://", "cannot be used (")


def test_a_storage_connection_that_does_not_exist_is_found_before_anything_is_paid(
    sim, conn_id, run_dag, picture, capfd
):
    run = run_dag(dag(picture, 'Store("s3://bucket/clips", storage_conn_id="nowhere")'))
    assert run.task_state("made") == "failed"
    assert [request for request in sim.requests() if request["method"] == "POST"] == []
    assert "storage_conn_id: the connection 'nowhere' does not exist" in capfd.readouterr().out


def test_a_folder_that_is_tried_before_a_refused_submit_is_left_as_it_was(sim, conn_id, run_dag, picture, folder):
    sim.order_fault("respond", method="POST", path="/v2/*", times=9, status=400, body={"error": "no"})
    assert run_dag(dag(picture, '"{folder}"', folder=folder)).state == "failed"
    assert not folder.exists()
    assert [file.name for file in folder.parent.iterdir()] == ["mug.png"]


@pytest.mark.parametrize("name", ["clip.png", "clip.json"])
def test_a_name_that_is_taken_while_the_job_runs_costs_no_file_and_no_second_job(
    sim, conn_id, run_dag, picture, folder, capfd, name
):
    """The first attempt gives up its wait; what retries it finds the name taken, and a job that is paid."""
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=6, status=200, body={"status": "PROCESSING"})
    run = run_dag(f"""
        from pathlib import Path

        from airflow_provider_kling.operators.kling import KlingGenerateOperator
        from airflow_provider_kling.storage.store import Store

        def take(context):
            taken = Path({str(folder)!r}, {name!r})
            taken.parent.mkdir(exist_ok=True)
            taken.write_text("mine")

        KlingGenerateOperator(
            task_id="made", payload=O1Image(prompt="@Image1", image_urls=[{picture!r}]), retries=5,
            store={FIXED.format(folder=folder)}, timeout=0.5, poll_interval=0.2, on_retry_callback=take,
        )
    """)
    assert run.state == "success"
    (job,) = jobs(sim)
    assert (folder / name).read_text() == "mine"
    assert files(folder) == sorted([name, f"clip-{job}-0.png", f"clip-{job}-0.json"])
    (kept,) = run.xcom("made")["files"]
    assert kept["path"] == f"file://{folder}/clip-{job}-0.png"
    assert f"The file is saved beside it, as 'file://{folder}/clip-{job}-0'" in capfd.readouterr().out


def test_of_mapped_tasks_that_want_one_name_none_is_paid_without_its_file(sim, conn_id, run_dag, picture, folder):
    run = run_dag(f"""
        from airflow_provider_kling.operators.kling import KlingGenerateOperator
        from airflow_provider_kling.storage.store import Store

        KlingGenerateOperator.partial(
            task_id="made", store={FIXED.format(folder=folder)}, deferrable=False
        ).expand(payload=[O1Image(prompt=f"@Image1 {{n}}", image_urls=[{picture!r}]) for n in range(2)])
    """)
    assert len(jobs(sim)) == 1
    assert sorted(run.task_state("made", index) for index in range(2)) == ["failed", "success"]
    assert files(folder) == ["clip.json", "clip.png"]
