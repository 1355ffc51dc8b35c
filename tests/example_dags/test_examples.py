"""Every example, run on a real Airflow against the simulator: counted are the jobs billed and the files on disk."""

from __future__ import annotations

import json

import av
import pytest
import requests
from PIL import Image

from airflow_provider_kling.simulator import Simulator
from tests.conftest import AIRFLOW_3_1, AIRFLOW_3_3, connection_json
from tests.example_dags.conftest import EXAMPLES, billed, dag_bag

#: What does not work on every Airflow, and from which on it does.
NEWER = {"kling_approved_by_a_person": AIRFLOW_3_1, "kling_retry_policies": AIRFLOW_3_3}


def posts(sim):
    return [request for request in sim.requests() if request["method"] == "POST"]


@pytest.fixture
def inputs(sim, pictures):
    """Return the parameters of an example that begins with a figure and a place."""
    return {"figure_url": pictures[0], "place_url": pictures[1]}


@pytest.fixture
def shots(tmp_path):
    """Return a folder with three product shots and something else."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for name, colour in (("mug.png", "red"), ("lamp.jpg", "yellow"), ("chair.JPEG", "green")):
        Image.new("RGB", (640, 360), colour).save(folder / name)
    (folder / "notes.txt").write_text("the lamp is the new one")
    return folder


@pytest.fixture
def elsewhere(shots, tmp_path, monkeypatch):
    """Return what its author changes in an example for folders of this test, which Airflow's config allows."""
    monkeypatch.setenv("AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS", str(shots))
    return {"file:///tmp/kling": f"file://{tmp_path}"}


def seconds(film):
    """Return how long a video is, having read all of it."""
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0)) / float(container.streams.video[0].average_rate)


# --- all of them


def test_each_file_can_be_read_holds_its_dag_where_airflow_is_new_enough_and_has_a_lesson():
    bag = dag_bag(EXAMPLES)
    assert bag.import_errors == {}
    names = {file.stem for file in EXAMPLES.glob("*.py")}
    assert set(bag.dags) == {name for name in names if NEWER.get(name, True)}
    for dag in bag.dags.values():
        assert dag.doc_md.startswith("### ")
        assert "**To run it**" in dag.doc_md
        assert "nothing on the simulator" in dag.doc_md.replace("\n", " ")
        assert {"example", "kling"} <= set(dag.tags)
        assert all(dag.params.get_param(name).schema.get("title") for name in dag.params)


def test_reading_the_folder_asks_nothing_of_segmind(airflow_db, conn_id, sim):
    assert dag_bag(EXAMPLES).import_errors == {}
    assert sim.requests() == []


# --- image, video, edit


@pytest.mark.skipif(not AIRFLOW_3_1, reason="Airflow 2 has no API for this without a web server")
def test_the_folder_of_the_main_example_is_one_asset_with_an_event_for_each_file(run_example, api, pictures, tmp_path):
    conf, instead = {"figure": pictures[0], "place": pictures[1]}, {"file:///tmp/kling": f"file://{tmp_path}"}
    runs = {run_example("kling_image_to_video_to_edit", conf, instead).dag_run.run_id for _ in range(2)}
    assets = api.get("assets", params={"dag_ids": "kling_image_to_video_to_edit"}).json()["assets"]
    (folder,) = [asset for asset in assets if asset["uri"] == f"file://{tmp_path}"]
    events = api.get("assets/events", params={"asset_id": folder["id"]}).json()["asset_events"]
    told = [event["extra"]["path"] for event in events if event["source_run_id"] in runs]
    assert sorted(told) == sorted(f"file://{file}" for file in tmp_path.rglob("?-*") if file.suffix != ".json")
    assert len(told) == 2 * 3


# --- fan out


def test_a_list_of_prompts_becomes_as_many_pictures_and_the_run_tells_what_they_cost(sim, run_example, pictures):
    run = run_example("kling_fan_out", {"picture_url": pictures[0]})
    assert run.state == "success"
    prompts = ["@Image1 at dusk", "@Image1 in a cornfield", "@Image1 in the reeds", "@Image1 in the snow"]
    assert sorted(job["inputs"]["prompt"] for job in billed(sim)) == prompts
    cost = run.xcom("run_cost")
    assert (cost["jobs"], cost["total"], cost["left"]) == (4, 0.14, 0.11)
    assert sim.ledger()["billed"] == 0.14


def test_a_list_that_is_too_long_stops_at_the_budget_and_the_run_says_so(sim, run_example, pictures, capfd):
    prompts = [f"@Image1 at {hour} o'clock" for hour in range(9)]
    run = run_example("kling_fan_out", {"picture_url": pictures[0], "prompts": prompts})
    assert run.state == "failed"
    assert len(billed(sim)) == len(posts(sim)) == 7
    assert sim.ledger()["billed"] == 0.245
    assert sorted(run.task_state("picture", index) for index in range(9)) == ["failed"] * 2 + ["success"] * 7
    assert all(run.task("picture", index).try_number == 1 for index in range(9))
    assert run.xcom("run_cost")["total"] == 0.245
    assert "The budget of this DAG run is $0.25: $0.245 is billed (7 jobs)" in capfd.readouterr().out


def test_a_second_run_of_what_a_ledger_knows_bills_what_was_changed(sim, run_example, pictures, ledger, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__REUSE", "completed")
    prompts = ["@Image1 at dusk", "@Image1 in the snow"]
    for changed, bills in ((prompts, 2), (prompts, 2), ([*prompts[:1], "@Image1 in the rain"], 3)):
        run = run_example("kling_fan_out", {"picture_url": pictures[0], "prompts": changed})
        assert (run.state, len(billed(sim))) == ("success", bills)
    assert run.xcom("run_cost")["total"] == 0.035


# --- product shots


def test_a_folder_of_pictures_becomes_a_folder_of_described_videos_once(sim, run_example, shots, elsewhere, tmp_path):
    videos = tmp_path / "videos"
    run = run_example("kling_product_shots", instead=elsewhere)
    assert run.state == "success"
    names = ["chair.JPEG", "lamp.jpg", "mug.png"]
    assert sorted(file.name for file in videos.iterdir()) == sorted(f"{n}.{e}" for n in names for e in ("json", "mp4"))
    assert len(billed(sim)) == len(sim.uploads()) == 3
    assert sorted(run.task("video", index).rendered_map_index for index in range(3)) == names
    for name in names:
        assert seconds(videos / f"{name}.mp4") == pytest.approx(5)
        told = json.loads((videos / f"{name}.json").read_text())
        assert name in json.dumps(told)
        assert told["cost"] > 0

    Image.new("RGB", (640, 360), "blue").save(shots / "sofa.png")
    assert run_example("kling_product_shots", instead=elsewhere).state == "success"
    assert len(billed(sim)) == 4
    assert run_example("kling_product_shots", instead=elsewhere).task_state("video") == "skipped"
    assert len(billed(sim)) == 4


@pytest.mark.skipif(not AIRFLOW_3_1, reason="Airflow 2 has no API for this without a web server")
def test_whoever_updates_the_asset_of_the_pictures_starts_it_and_its_videos_update_theirs(
    run_example, api, elsewhere, tmp_path
):
    run = run_example("kling_product_shots", instead=elsewhere)
    assets = {asset["uri"]: asset["id"] for asset in api.get("assets").raise_for_status().json()["assets"]}

    events = api.get("assets/events", params={"asset_id": assets[f"file://{tmp_path}/videos"]}).json()["asset_events"]
    told = [event for event in events if event["source_run_id"] == run.dag_run.run_id]
    assert sorted(event["extra"]["path"] for event in told) == [
        f"file://{tmp_path}/videos/{name}.mp4" for name in ("chair.JPEG", "lamp.jpg", "mug.png")
    ]

    api.patch("dags/kling_product_shots", json={"is_paused": False}).raise_for_status()
    api.post("assets/events", json={"asset_id": assets[f"file://{tmp_path}/shots"]}).raise_for_status()
    waiting = api.get("dags/kling_product_shots/assets/queuedEvents").raise_for_status().json()
    assert [event["asset_id"] for event in waiting["queued_events"]] == [assets[f"file://{tmp_path}/shots"]]


# --- TaskFlow


def test_the_chain_in_functions_bills_three_jobs_and_keeps_the_last_video(sim, run_example, inputs, tmp_path):
    run = run_example("kling_taskflow", inputs, {"file:///tmp/kling": f"file://{tmp_path}"})
    assert run.state == "success"
    image, video, edit = billed(sim)
    assert sim.ledger()["accepted"] == 3
    assert video["inputs"]["image_urls"] == [image["url"]]
    assert edit["inputs"]["video_url"] == video["url"]
    (film,) = tmp_path.rglob("*.mp4")
    assert film.read_bytes() == requests.get(edit["url"], timeout=10).content
    described = film.with_suffix(".json").read_text()
    assert all(job["request_id"] in described for job in (image, video, edit))


# --- retry policies

needs_policies = pytest.mark.skipif(not AIRFLOW_3_3, reason="retry policies came with Airflow 3.3")
#: The test waits shorter than a user; that a minute is what it says stands in the file.
SOON = {"retry_delay=timedelta(minutes=1)": "retry_delay=timedelta(seconds=0)"}


@needs_policies
def test_a_rate_limit_is_waited_out_and_one_job_is_billed(sim, run_example, pictures):
    sim.order_fault("respond", method="POST", status=429, body={"error": "Too many requests"})
    run = run_example("kling_retry_policies", {"picture_url": pictures[0]}, instead=SOON)
    assert run.state == "success"
    assert run.task("picture").try_number == 2
    assert len(posts(sim)) == 2
    assert len(billed(sim)) == sim.ledger()["accepted"] == 1


@needs_policies
def test_a_blocked_prompt_is_not_tried_again(sim, run_example, pictures, capfd):
    sim.order_fault("fail_job", error="Content policy violation", times=4)
    run = run_example("kling_retry_policies", {"picture_url": pictures[0]})
    assert run.state == "failed"
    assert run.task("picture").try_number == 1
    assert sim.ledger()["accepted"] == 1
    assert billed(sim) == []
    assert "What was blocked would be blocked again" in capfd.readouterr().out


@needs_policies
def test_an_empty_balance_is_not_tried_again(monkeypatch, run_example, pictures):
    with Simulator(time_scale=400, requests_per_minute=0, height=72, credits=0.01) as poor:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(poor))
        run = run_example("kling_retry_policies", {"picture_url": pictures[0]})
        assert run.task("picture").try_number == len(posts(poor)) == 1
        assert poor.ledger()["accepted"] == 0
