"""Every example, in the DAG folder of a running Airflow, started as a user does: counted are bills and files."""

from __future__ import annotations

import pytest
import requests
from PIL import Image

from tests.conftest import AIRFLOW_3_1
from tests.e2e.bills import jobs_of
from tests.example_dags.conftest import EXAMPLES
from tests.example_dags.test_examples import NEWER

NAMES = sorted(file.stem for file in EXAMPLES.glob("*.py") if NEWER.get(file.stem, True))
#: The folder that the examples name; their author would write another.
FOLDER = "file:///tmp/kling"
SHOTS = "kling_product_shots"
APPROVED = "kling_approved_by_a_person"
#: Seconds for a run: on a quiet machine each takes less than a minute.
PATIENCE = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kling")


@pytest.fixture(scope="module")
def started(running, sim, folder):
    """Put all examples into the DAG folder and start them at once; each run is called as its DAG."""
    robot, beach = (f"{sim.url}/simulator/inputs/{name}.png" for name in ("robot", "beach"))
    urls = {"figure_url": robot, "place_url": beach}
    confs = {
        APPROVED: urls,
        "kling_fan_out": {"picture_url": robot},
        "kling_image_to_video_to_edit": {"figure": robot, "place": beach},
        "kling_retry_policies": {"picture_url": robot},
        "kling_taskflow": urls,
    }
    (folder / "shots").mkdir()
    for name, colour in (("mug.png", "red"), ("lamp.jpg", "yellow")):
        Image.new("RGB", (640, 360), colour).save(folder / "shots" / name)
    texts = {name: (EXAMPLES / f"{name}.py").read_text().replace(FOLDER, f"file://{folder}") for name in NAMES}
    try:
        running.write_dags(texts)
        for name in set(NAMES) - {SHOTS}:
            running.trigger(name, name, confs[name])
        running.update_asset(f"file://{folder}/shots")
        yield
    finally:
        running.remove_files(texts)


def ended(running, run_id):
    assert running.run_ends(run_id, seconds=PATIENCE) == "success", running.last_words()
    assert set(running.states(run_id)) == {"success"}


def films(folder):
    """Return the files in a folder that are no descriptions, having seen that each has one."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".json"]
    assert all(file.with_suffix(".json").exists() for file in files)
    return sorted(files)


def assert_one_chain(jobs):
    image, video, edit = jobs
    assert video["inputs"]["image_urls"] == [image["url"]]
    assert edit["inputs"]["video_url"] == video["url"]


def assert_kept(files, jobs):
    assert [file.read_bytes() for file in files] == [requests.get(job["url"], timeout=10).content for job in jobs]


def test_image_to_video_to_edit(started, running, sim, folder):
    ended(running, "kling_image_to_video_to_edit")
    jobs = jobs_of(running, sim, "kling_image_to_video_to_edit")
    assert_one_chain(jobs)
    assert_kept(films(folder / "storyboard"), jobs)
    cost = running.xcom("kling_image_to_video_to_edit", "run_cost")
    assert (cost["jobs"], cost["total"]) == (3, pytest.approx(sum(job["cost_billed"] for job in jobs)))


def test_taskflow(started, running, sim, folder):
    ended(running, "kling_taskflow")
    jobs = jobs_of(running, sim, "kling_taskflow")
    assert_one_chain(jobs)
    assert_kept(films(folder / "taskflow"), jobs[-1:])


def test_fan_out(started, running, sim):
    ended(running, "kling_fan_out")
    prompts = ["@Image1 at dusk", "@Image1 in a cornfield", "@Image1 in the reeds", "@Image1 in the snow"]
    assert sorted(job["inputs"]["prompt"] for job in jobs_of(running, sim, "kling_fan_out")) == prompts
    cost = running.xcom("kling_fan_out", "run_cost")
    assert (cost["jobs"], cost["total"], cost["left"]) == (4, 0.14, 0.11)


def test_product_shots_are_started_by_the_asset_and_pay_for_each_picture_once(started, running, sim, folder):
    (run,) = running.wait_until(lambda: running.runs(SHOTS), "the asset starts a run")
    ended(running, run)
    jobs = jobs_of(running, sim, run)
    assert len(jobs) == 2
    assert [file.name for file in films(folder / "videos")] == ["lamp.jpg.mp4", "mug.png.mp4"]

    Image.new("RGB", (640, 360), "blue").save(folder / "shots" / "sofa.png")
    running.update_asset(f"file://{folder}/shots")
    (second,) = running.wait_until(lambda: set(running.runs(SHOTS)) - {run}, "the asset starts another run")
    ended(running, second)
    assert len(jobs_of(running, sim, second)) == 1
    assert [file.name for file in films(folder / "videos")] == ["lamp.jpg.mp4", "mug.png.mp4", "sofa.png.mp4"]


@pytest.mark.skipif(not AIRFLOW_3_1, reason="asking a person came with Airflow 3.1")
def test_a_person_approves(started, running, sim):
    request = f"dags/{APPROVED}/dagRuns/{APPROVED}/taskInstances/approval/-1/hitlDetails"
    running.wait_until(lambda: running.api.ask("GET", request).ok, "a person is asked")
    (picture,) = jobs_of(running, sim, APPROVED)
    assert running.api.get(request)["body"] == f"![The storyboard](<{picture['url']}>)"
    running.api.patch(request, {"chosen_options": ["Approve"]})
    ended(running, APPROVED)
    picture, video = jobs_of(running, sim, APPROVED)
    assert video["inputs"]["image_urls"] == [picture["url"]]


@pytest.mark.skipif("kling_retry_policies" not in NAMES, reason="retry policies came with Airflow 3.3")
def test_retry_policies(started, running, sim):
    ended(running, "kling_retry_policies")
    (job,) = jobs_of(running, sim, "kling_retry_policies")
    assert job["inputs"]["prompt"] == "@Image1 at sunrise"


def test_every_example_has_run(started, running):
    for name in NAMES:
        assert running.runs(name), name
        for run in running.runs(name):
            ended(running, run)
