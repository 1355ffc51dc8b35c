"""Files in payloads: checked, uploaded once, and never a reason to pay twice. Real files, sockets, Airflow."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
import requests
from PIL import Image

from airflow_provider_kling.hooks.segmind import SegmindHook
from tests.conftest import AIRFLOW_3_3, needs_task_state

below_3_3 = pytest.mark.skipif(AIRFLOW_3_3, reason="about Airflow below 3.3, where nothing tells what was delivered")

DIES = """
    def die_once(context, result):
        if context["ti"].try_number == 1:
            raise RuntimeError("the worker dies")
"""


@pytest.fixture
def picture(tmp_path):
    """Return a function that draws a picture of one colour into a file and returns its path."""

    def draw(name="mug.png", colour="red"):
        file = tmp_path / name
        Image.new("RGB", (320, 320), colour).save(file)
        return file

    return draw


def submit(file, arguments="", history_timeout=30):
    return f"""
    KlingSubmitOperator(
        task_id="submit",
        payload=O1Image(prompt="@Image1", image_urls=[{str(file)!r}]),
        history_timeout={history_timeout},
        {arguments}
    )
"""


def sent(sim):
    """Return the inputs of the one job that was accepted."""
    (job,) = sim.ledger()["jobs"]
    return job["inputs"]


def posts(sim):
    return [request for request in sim.requests() if request["method"] == "POST"]


def assert_one_upload_one_bill(sim, run):
    assert run.state == "success"
    (job,) = sim.ledger()["jobs"]
    (upload,) = sim.uploads()
    assert run.xcom("submit") == job["request_id"]
    assert job["inputs"]["image_urls"] == [upload["url"]]


def test_files_are_uploaded_once_for_each_content_and_the_job_gets_their_addresses(sim, conn_id, run_dag, picture):
    mug, same, beach = picture(), picture("same.png"), picture("beach.jpg", "blue")
    run = run_dag(f"""
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        submit = KlingSubmitOperator(
            task_id="submit",
            payload=O1ReferenceToVideo(
                prompt="@Image1 and @Element1",
                image_urls=["{mug}", PICTURES[0], ObjectStoragePath("file://{beach}")],
                elements=[
                    Element(
                        frontal_image_url="file://{same}",
                        reference_image_urls=["{mug.parent}/{{{{ params.mug }}}}"],
                    )
                ],
            ),
            params={{"mug": "mug.png"}},
        )
        KlingSensor(task_id="done", request_id=submit.output, poll_interval=0.2)
    """)
    assert run.state == "success"
    uploads = {upload["sha256"]: upload for upload in sim.uploads()}
    assert len(sim.uploads()) == len(uploads) == 2
    addresses = [uploads[hashlib.sha256(file.read_bytes()).hexdigest()]["url"] for file in (mug, beach)]
    images = sent(sim)["image_urls"]
    assert [images[0], images[2]] == addresses
    assert images[1].startswith(f"{sim.url}/simulator/inputs/")
    assert sent(sim)["elements"] == [{"frontal_image_url": addresses[0], "reference_image_urls": [addresses[0]]}]
    assert {upload["content_type"] for upload in uploads.values()} == {"image/png", "image/jpeg"}
    assert requests.get(addresses[0], timeout=10).content == mug.read_bytes()
    assert {sha256 for urls in run.xcom("submit", "kling_uploads").values() for sha256 in urls} == uploads.keys()


def test_every_file_is_checked_before_the_first_is_uploaded(sim, conn_id, run_dag, picture, tmp_path, capfd):
    mug = picture()
    page = tmp_path / "page.png"
    page.write_text("<html>gone</html>")
    sound = tmp_path / "sound.mp3"
    sound.write_bytes(b"ID3" + bytes(200))
    run = run_dag(f"""
        KlingSubmitOperator(
            task_id="submit",
            retries=2,
            payload=O1ReferenceToVideo(
                prompt="x",
                image_urls=["{mug}", "{tmp_path}/nowhere.png", "{page}", "{sound}"],
                elements=[Element(frontal_image_url="{tmp_path}")],
            ),
        )
    """)
    assert run.state == "failed"
    assert run.task("submit").try_number == 1
    assert posts(sim) == []
    out = capfd.readouterr().out
    assert f"image_urls.1: '{tmp_path}/nowhere.png' does not exist on this worker; it takes image" in out
    assert f"image_urls.2: '{page}' is no picture, video or sound by its first bytes" in out
    assert f"image_urls.3: '{sound}' is audio/mpeg of" in out
    assert f"elements.0.frontal_image_url: '{tmp_path}' is a directory, not a file" in out
    assert "Nothing was uploaded." in out


def test_a_video_outside_a_models_limits_is_refused_with_what_it_is_and_what_is_allowed(
    sim, conn_id, run_dag, tmp_path, capfd
):
    hook = SegmindHook(conn_id)
    receipt = hook.submit("kling-o3-text2video", {"prompt": "a robot walks", "duration": "3"})
    while not hook.get_status(receipt.request_id).status.is_terminal:
        time.sleep(0.05)
    film = tmp_path / "film.mp4"
    film.write_bytes(requests.get(hook.get_result(receipt.request_id).url, timeout=10).content)
    for name in ("O3VideoReference", "O1VideoEdit"):
        run = run_dag(f"""
            KlingSubmitOperator(task_id="submit", payload={name}(prompt="@Video1 by night", video_url="{film}"))
        """)
        assert run.state == "failed"
        out = capfd.readouterr().out
        assert f"video_url: '{film}' is video/mp4 of" in out
        assert "128 px wide, 3.0 s; it takes mp4 or mov, at most 200 MB, 720 to 2160 px wide, 3 to 10 s (" in out
    assert sim.uploads() == []
    run = run_dag(f"""
        KlingSubmitOperator(
            task_id="submit",
            payload=V26MotionControl(prompt="x", video_url="{film}", image_url=PICTURES[0]),
        )
    """)
    assert run.state == "success"
    assert len(sim.uploads()) == 1


def test_an_unclear_answer_is_found_by_the_addresses_it_was_sent_with(sim, conn_id, run_dag, picture):
    sim.order_fault("reset_after", method="POST")
    assert_one_upload_one_bill(sim, run_dag(submit(picture(), "retries=0")))


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        (None, "post_execute=die_once"),
        pytest.param({"kind": "respond", "status": 500, "body": {"error": "x"}}, "", marks=needs_task_state),
    ],
)
def test_a_retry_sends_the_addresses_of_the_attempt_before_it(sim, conn_id, run_dag, picture, fault, arguments):
    if fault:
        sim.order_fault(fault.pop("kind"), method="POST", path="/v2/*", **fault)
    run = run_dag(DIES + submit(picture(), f"retries=1, {arguments}", history_timeout=0))
    assert_one_upload_one_bill(sim, run)
    assert run.task("submit").try_number == 2


@pytest.mark.parametrize("fault", [{"kind": "reset_before"}, {"kind": "reset_after", "row_after": 1}])
def test_a_task_that_waited_to_look_again_sends_the_addresses_it_has(sim, conn_id, run_dag, picture, fault):
    sim.order_fault(fault.pop("kind"), method="POST", path="/v2/*", **fault)
    run = run_dag(submit(picture(), "retries=0, orphan_grace=2", history_timeout=0))
    assert_one_upload_one_bill(sim, run)


@needs_task_state
@pytest.mark.parametrize("key", ["kling_submission", "kling_uploads"])
def test_a_worker_that_dies_between_upload_and_submit_leaves_no_bill(sim, conn_id, run_dag, picture, key):
    run = run_dag(
        f"""
    def spoil(context):
        store, ti = context["task_state_store"], context["ti"]
        keep = store.set

        def die_once(key, value, **more):
            if key != {key!r} or ti.try_number > 1:
                keep(key, value, **more)
            else:
                raise RuntimeError("the worker dies")

        object.__setattr__(store, "set", die_once)
"""
        + submit(picture(), "retries=1, pre_execute=spoil")
    )
    assert run.state == "success"
    assert sim.ledger()["accepted"] == 1
    assert len(sim.uploads()) == (1 if key == "kling_submission" else 2)


def test_a_retry_uploads_again_at_the_most_what_it_has_no_address_of(sim, conn_id, run_dag, picture):
    sim.order_fault("respond", method="POST", path="/upload-asset", status=500)
    run = run_dag(submit(picture(), "retries=1, orphan_grace=0"))
    assert_one_upload_one_bill(sim, run)
    assert run.task("submit").try_number == 2


def test_the_tasks_of_a_run_share_what_one_of_them_uploaded(sim, conn_id, run_dag, picture):
    mug, beach = picture(), picture("beach.png", "blue")
    run = run_dag(f"""
        first = KlingSubmitOperator.partial(task_id="first").expand(
            payload=[O1Image(prompt="@Image1", image_urls=[file]) for file in ("{mug}", "{beach}")]
        )
        second = KlingSubmitOperator(
            task_id="second", payload=O1Image(prompt="@Image1 @Image2", image_urls=["{mug}", "file://{beach}"])
        )
        first >> second
    """)
    assert run.state == "success"
    assert len(sim.uploads()) == 2
    assert sim.ledger()["accepted"] == 3


def test_tasks_that_want_the_same_with_a_file_pay_once_each(sim, conn_id, run_dag, picture):
    for kind in ("reset_after", "reset_after", "truncate"):
        sim.order_fault(kind, method="POST", path="/v2/*")
    run = run_dag(f"""
        submit = KlingSubmitOperator.partial(task_id="submit", history_timeout=20).expand(
            payload=[O1Image(prompt="@Image1", image_urls=["{picture()}"]) for _ in range(3)]
        )
    """)
    assert run.state == "success"
    jobs = {job["request_id"] for job in sim.ledger()["jobs"]}
    assert len(jobs) == 3
    assert {run.xcom("submit", map_index=index) for index in range(3)} == jobs
    assert len(sim.uploads()) == 1


def test_the_jobs_of_siblings_with_other_pictures_do_not_hold_up_a_retry(sim, conn_id, run_dag, picture):
    sim.order_fault("respond", method="POST", path="/v2/*", status=500)
    files = [str(picture(f"{colour}.png", colour)) for colour in ("red", "green", "blue")]
    run = run_dag(f"""
        KlingSubmitOperator.partial(task_id="submit", retries=2, orphan_grace=0, history_timeout=2).expand(
            payload=[O1Image(prompt="@Image1", image_urls=[file]) for file in {files!r}]
        )
    """)
    assert run.state == "success"
    jobs = {job["request_id"] for job in sim.ledger()["jobs"]}
    assert {run.xcom("submit", map_index=index) for index in range(3)} == jobs
    assert len(jobs) == 3


def test_another_content_is_another_payload_and_another_path_is_not(sim, conn_id, run_dag, picture, capfd):
    mug = picture()
    change = f"""
    def change(context):
        from PIL import Image

        Image.new("RGB", (320, 320), "blue").save("{mug}")
"""
    run = run_dag(DIES + change + submit(mug, "retries=1, post_execute=die_once, on_retry_callback=change"))
    assert run.state == "success"
    first, second = sim.ledger()["jobs"]
    assert run.xcom("submit") == second["request_id"]
    assert f"request {first['request_id']} (kling-o1, submitted" in capfd.readouterr().out
    assert len(sim.uploads()) == 2

    picture("1.png"), picture("2.png")
    moved = str(mug.with_name("{{ ti.try_number }}.png"))
    run = run_dag(DIES + submit(moved, "retries=1, post_execute=die_once"))
    assert run.state == "success"
    assert sim.ledger()["accepted"] == 3


def test_a_file_that_is_gone_at_the_retry_names_the_job_that_runs(sim, conn_id, run_dag, picture, capfd):
    mug = picture()
    lose = f"""
    def lose(context):
        import os

        os.unlink("{mug}")
"""
    run = run_dag(DIES + lose + submit(mug, "retries=3, post_execute=die_once, on_retry_callback=lose"))
    assert run.state == "failed"
    assert run.task("submit").try_number == 2
    (job,) = sim.ledger()["jobs"]
    out = capfd.readouterr().out
    assert "does not exist on this worker" in out
    assert f"Request {job['request_id']} of an earlier attempt was accepted and is billed (price: $0.035)" in out


def test_a_path_in_a_model_without_a_class_is_uploaded_and_text_is_sent_as_it_is(sim, conn_id, run_dag, picture):
    receipt = {"request_id": "2c7f59ea-13f1-402c-9353-915a2b5a2124", "status": "QUEUED"}
    sim.order_fault("respond", method="POST", path="/v2/*", status=200, body=receipt)
    run = run_dag(f"""
        from pathlib import Path

        KlingSubmitOperator(
            task_id="submit", model="kling-99", payload={{"image": [Path("{picture()}")], "style": "/x/y.png"}}
        )
    """)
    assert run.state == "success"
    body = posts(sim)[-1]["body"]
    assert body == {"image": [sim.uploads()[0]["url"]], "style": "/x/y.png"}


DESCRIPTION = {
    "request_id": "abc", "index": 0, "file": "mug.png", "size": 1, "type": "image/png", "sha256": "f" * 64,
    "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "stored_at": "2026-01-01T00:00:00Z",
    "payload": {"prompt": "an earlier prompt"},
}  # fmt: skip


@pytest.mark.parametrize("reached", ["as it is", "by the author's link"])
def test_the_description_beside_an_uploaded_file_is_told_of_what_is_made_of_it(
    sim, conn_id, run_dag, picture, tmp_path, reached
):
    file = picture()
    file.with_suffix(".json").write_text(json.dumps(DESCRIPTION))
    (tmp_path / "latest").symlink_to(tmp_path)
    named = file if reached == "as it is" else tmp_path / "latest/mug.png"
    run = run_dag(f"""
from airflow_provider_kling.operators.kling import KlingGenerateOperator
KlingGenerateOperator(
    task_id="make", payload=O1Image(prompt="@Image1", image_urls=["{named}"]), store="{tmp_path}/out")
""")
    (described,) = (tmp_path / "out").rglob("*.json")
    (told,) = json.loads(described.read_text())["inputs"]
    assert run.state == "success"
    assert (told["path"], told["sidecar"]) == (str(named), str(file.with_suffix(".json")))
    assert told["made"]["payload"] == DESCRIPTION["payload"]
    assert told["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
