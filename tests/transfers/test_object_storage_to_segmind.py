"""Files uploaded by a task of their own, over real sockets and on real Airflow."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator
from tests.conftest import AIRFLOW_3_3

IMPORT = """
    from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder with three pictures, two of them the same."""
    for name, colour in (("a.png", "red"), ("b.png", "blue"), ("c.png", "red")):
        Image.new("RGB", (320, 320), colour).save(tmp_path / name)
    return tmp_path


def addresses(sim, folder, *names):
    """Return the addresses of files by their content, as the simulator lists them."""
    urls = {upload["sha256"]: upload["url"] for upload in sim.uploads()}
    return [urls[hashlib.sha256((folder / name).read_bytes()).hexdigest()] for name in names]


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_rate_limit_is_waited_out_in_the_same_try_and_nothing_is_uploaded_twice(
    sim, conn_id, run_dag, folder, deferrable
):
    reset = {"x-rate-limit-reset-at-utc": (datetime.now(tz=UTC) + timedelta(seconds=2)).isoformat()}
    sim.order_fault("delay", method="POST", path="/upload-asset", seconds=0)  # the first file goes through
    sim.order_fault("respond", method="POST", path="/upload-asset", status=429, headers=reset, body={"error": "x"})
    run = run_dag(
        IMPORT
        + f"""
    ObjectStorageToSegmindOperator(task_id="all", source="{folder}/*.png", deferrable={deferrable})
"""
    )
    assert run.state == "success"
    assert run.task("all").try_number == 1
    assert run.xcom("all") == addresses(sim, folder, "a.png", "b.png", "c.png")
    assert len(sim.uploads()) == 2


def test_one_file_gives_an_address_and_several_a_list_to_map_over(sim, conn_id, run_dag, folder):
    run = run_dag(
        IMPORT
        + f"""
    one = ObjectStorageToSegmindOperator(task_id="one", source="{folder}/{{{{ params.name }}}}",
                                         params={{"name": "a.png"}})
    all_ = ObjectStorageToSegmindOperator(task_id="all", source="file://{folder}/*.png")
    listed = ObjectStorageToSegmindOperator(task_id="listed", source=["{folder}/b.png"])
    each = ObjectStorageToSegmindOperator.partial(task_id="each").expand(source=["{folder}/c.png", "{folder}/b.png"])

    @task
    def payloads(urls):
        return [{{"prompt": "@Image1", "image_urls": [url]}} for url in urls]

    KlingSubmitOperator.partial(task_id="submit", model="kling-o1").expand(payload=payloads(all_.output))
    single = KlingSubmitOperator(
        task_id="single", payload=O1Image(prompt="@Image1", image_urls=[one.output, "{folder}/b.png"])
    )
    one >> all_ >> listed >> each >> single
"""
    )
    assert run.state == "success"
    a, b, c = addresses(sim, folder, "a.png", "b.png", "c.png")
    assert a == c
    assert len(sim.uploads()) == 2
    assert run.xcom("one") == a
    assert run.xcom("all") == [a, b, c]
    assert run.xcom("listed") == [b]
    assert [run.xcom("each", map_index=index) for index in range(2)] == [c, b]
    inputs = [job["inputs"]["image_urls"] for job in sim.ledger()["jobs"]]
    assert sorted(inputs) == sorted([[a], [b], [c], [a, b]])


def test_a_retry_does_not_upload_again_what_was(sim, conn_id, run_dag, folder):
    sim.order_fault("delay", method="POST", path="/upload-asset", seconds=0)
    sim.order_fault("respond", method="POST", path="/upload-asset", status=500)
    run = run_dag(IMPORT + f'    ObjectStorageToSegmindOperator(task_id="all", source="{folder}/*.png", retries=1)\n')
    assert run.state == "success"
    assert run.task("all").try_number == 2
    assert len(sim.uploads()) == (2 if AIRFLOW_3_3 else 3)
    assert len(set(run.xcom("all"))) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('source="{folder}/*.gif"', "no file matches"),
        ('source="{folder}/d.png"', "does not exist"),
        ('source=["{folder}/a.png", "{folder}/d.png"]', "does not exist"),
        ('source="d.png"', "names no file"),
        ('source="{{{{ none }}}}"', "names no file"),
        ("source=[]", "is empty"),
        ('source="{folder}/a.png", model="kling-v2-standard-avatar", field="audio_url"', "takes audio"),
        ('source="{folder}/a.png", model="kling-o1", field="audio_url"', "field: 'audio_url' is not known"),
    ],
)
def test_what_cannot_be_uploaded_is_told_before_anything_is_and_uses_no_retry(
    sim, conn_id, run_dag, folder, capfd, arguments, words
):
    run = run_dag(
        IMPORT + f'    ObjectStorageToSegmindOperator(task_id="x", retries=2, {arguments.format(folder=folder)})\n'
    )
    assert run.state == "failed"
    assert run.task("x").try_number == 1
    assert words in capfd.readouterr().out
    assert sim.uploads() == []


def test_model_and_field_need_each_other():
    with pytest.raises(SegmindInputError, match="each needs the other"):
        ObjectStorageToSegmindOperator(task_id="x", source="/data/a.png", model="kling-o1")


@pytest.mark.parametrize(
    ("model", "field", "value", "prompt"),
    [
        ("kling-o1", "image_urls", lambda url: [url], "@Image1 at night"),
        ("kling-o1-image-to-video", "start_image_url", lambda url: url, "it turns"),
    ],
)
def test_a_folder_of_pictures_becomes_a_folder_of_results_with_no_python_in_between(
    sim, conn_id, run_dag, folder, model, field, value, prompt
):
    run = run_dag(
        IMPORT
        + f"""
    from airflow_provider_kling.operators.kling import KlingGenerateOperator
    shots = ObjectStorageToSegmindOperator(
        task_id="shots", source="{folder}/*.png", model="{model}", field="{field}", payload={{"prompt": "{prompt}"}}
    )
    KlingGenerateOperator.partial(task_id="made", model="{model}", store="{folder}/out").expand(payload=shots.output)
"""
    )
    assert run.state == "success"
    jobs = sim.ledger()["jobs"]
    assert sorted(map(str, (job["inputs"][field] for job in jobs))) == sorted(
        str(value(url)) for url in addresses(sim, folder, "a.png", "b.png", "c.png")
    )
    descriptions = list((folder / "out").rglob("*.json"))
    assert len(descriptions) == len(jobs) == 3
    sources = {json.loads(file.read_text())["inputs"][0]["path"] for file in descriptions}
    assert sources <= {str(folder / name) for name in ("a.png", "b.png", "c.png")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"payload": {"prompt": "x"}}, "needs model and field"),
        ({"payload": {"promt": "x"}, "model": "kling-o1", "field": "image_urls"}, "did you mean 'prompt'"),
        ({"payload": {"prompt": "@Image2"}, "model": "kling-o1", "field": "image_urls"}, "@Image2"),
    ],
)
def test_a_payload_around_files_is_checked_when_the_dag_is_parsed(arguments, words):
    with pytest.raises(SegmindInputError, match=words):
        ObjectStorageToSegmindOperator(task_id="a", source="/data/*.png", **arguments)
