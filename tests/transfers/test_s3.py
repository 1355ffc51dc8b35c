"""Results kept in an object store: an S3 that answers over a real socket."""

from __future__ import annotations

import io
import json

import boto3
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from moto.server import ThreadedMotoServer
from PIL import Image

from tests.operators.test_files import DESCRIPTION
from tests.transfers.conftest import ID, result_of

KEEP = """
    from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

    SegmindToObjectStorageOperator(
        task_id="keep", result={result!r}, destination={destination!r}, name={name!r}, retries=1,
        segmind_conn_id="segmind_other", storage_conn_id="store",
    )
"""


@pytest.fixture(scope="session")  # a worker may leave this module and come back to it
def endpoint():
    """Yield the address of an S3; one for all tests, because Airflow keeps a store once it is attached."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    name, port = server.get_host_and_port()
    yield f"http://{name}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint, monkeypatch):
    """Yield a client of an S3 with one empty bucket, which the connection ``store`` leads to."""
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    monkeypatch.setenv(
        "AIRFLOW_CONN_STORE",
        json.dumps({"conn_type": "aws", "login": "k", "password": "not-a-real-secret", "extra": extra}),
    )
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="not-a-real-secret",
    )
    client.create_bucket(Bucket="bucket")
    yield client
    for key in objects(client):
        client.delete_object(Bucket="bucket", Key=key)
    client.delete_bucket(Bucket="bucket")


def objects(s3) -> list[str]:
    return sorted(item["Key"] for item in s3.list_objects_v2(Bucket="bucket").get("Contents", []))


def body(s3, key: str) -> bytes:
    return s3.get_object(Bucket="bucket", Key=key)["Body"].read()


PICTURE = """
    from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator

    @task
    def keys():
        return ["s3://bucket/inbox/mug.png"]

    ObjectStorageToSegmindOperator.partial(task_id="upload", {arguments}).expand(source=keys())
"""


@pytest.mark.attack("An XCom names an object that the worker can read", "it is uploaded only if the config allows it")
@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        ("storage_conn_id='store'", True),
        ("storage_conn_id='{{ params.conn }}', params={'conn': 'store'}", True),
        ("storage_conn_id='{{ params.conn }}', params={'conn': 'other'}", False),
    ],
)
def test_an_object_is_uploaded_by_the_connection_that_the_config_allows_its_folder_with(
    sim, conn_id, s3, run_dag, monkeypatch, arguments, allowed
):
    picture = io.BytesIO()
    Image.new("RGB", (320, 320)).save(picture, "PNG")
    s3.put_object(Bucket="bucket", Key="inbox/mug.png", Body=picture.getvalue())
    assert run_dag(PICTURE.replace("{arguments}", arguments)).state == "failed"
    monkeypatch.setenv("AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS", "s3://store@bucket/inbox")
    assert run_dag(PICTURE.replace("{arguments}", arguments)).state == ("success" if allowed else "failed")
    assert len(sim.uploads()) == allowed


def test_the_description_beside_an_uploaded_object_is_told_of_what_is_made_of_it(sim, conn_id, s3, run_dag):
    picture = io.BytesIO()
    Image.new("RGB", (320, 320)).save(picture, "PNG")
    s3.put_object(Bucket="bucket", Key="inbox/mug.png", Body=picture.getvalue())
    s3.put_object(Bucket="bucket", Key="inbox/mug.json", Body=json.dumps(DESCRIPTION).encode())
    run = run_dag("""
from airflow_provider_kling.operators.kling import KlingGenerateOperator
KlingGenerateOperator(
    task_id="make", payload=O1Image(prompt="@Image1", image_urls=["s3://store@bucket/inbox/mug.png"]),
    store="s3://store@bucket/made")
""")
    assert run.state == "success"
    (described,) = [key for key in objects(s3) if key.startswith("made/") and key.endswith(".json")]
    (told,) = json.loads(body(s3, described))["inputs"]
    assert told["sidecar"] == "s3://store@bucket/inbox/mug.json"
    assert told["made"]["payload"] == DESCRIPTION["payload"]


def keep(run_dag, result, destination="s3://bucket/films", name="{index}.{ext}"):
    return run_dag(KEEP.format(result=result, destination=destination, name=name))


def test_a_file_and_its_description_are_kept_and_can_be_opened_by_what_the_task_returns(s3, host, run_dag, film):
    run = keep(run_dag, result_of(host))
    assert run.state == "success"
    assert objects(s3) == ["films/0.json", "films/0.mp4"]
    assert body(s3, "films/0.mp4") == film
    (kept,) = run.xcom("keep")
    assert kept["path"] == "s3://store@bucket/films/0.mp4"
    assert ObjectStoragePath(kept["path"]).read_bytes() == film
    assert json.loads(ObjectStoragePath(kept["sidecar"]).read_bytes())["sha256"] == kept["sha256"]
    assert (kept["width"], kept["height"]) == (256, 256)
    assert round(kept["duration"]) == 2


def test_a_second_run_fetches_nothing(s3, host, run_dag):
    keep(run_dag, result_of(host))
    assert keep(run_dag, result_of(host)).state == "success"
    assert host.asked == [None]


def test_a_download_that_breaks_off_goes_on_into_the_same_upload(s3, host, run_dag, film):
    host.cuts = [len(film) // 3, len(film) * 2 // 3]
    assert keep(run_dag, result_of(host)).state == "success"
    assert body(s3, "films/0.mp4") == film
    assert host.sent < 1.2 * len(film)


def test_a_host_that_cannot_resume_starts_a_new_upload(s3, host, run_dag, film):
    host.cuts, host.ranges = [len(film) // 2], False
    assert keep(run_dag, result_of(host)).state == "success"
    assert objects(s3) == ["films/0.json", "films/0.mp4"]
    assert body(s3, "films/0.mp4") == film


@pytest.mark.parametrize("trouble", ["page", "short", "undecodable"])
def test_what_is_not_a_whole_film_leaves_no_object(s3, host, run_dag, film, trouble):
    if trouble == "page":
        host.body = b"<!doctype html><html>Sign in</html>"
    elif trouble == "short":
        host.announced = len(film) + 1
    else:
        host.body = film[: len(film) // 2]
    assert keep(run_dag, result_of(host)).task_state("keep") == "failed"
    assert objects(s3) == []


def test_a_name_of_another_job_is_refused(s3, host, run_dag, film, capfd):
    keep(run_dag, result_of(host))
    described = body(s3, "films/0.json")
    run = keep(run_dag, result_of(host, "00000000-0000-0000-0000-000000000001"))
    assert run.task_state("keep") == "failed"
    assert run.task("keep").try_number == 1
    assert f"belongs to output 0 of request {ID}" in capfd.readouterr().out
    assert body(s3, "films/0.json") == described
    assert body(s3, "films/0.mp4") == film


def test_a_bucket_that_is_not_there_is_named_and_not_made(s3, host, run_dag, capfd):
    run = keep(run_dag, result_of(host), "s3://bukcet/films")
    assert run.task_state("keep") == "failed"
    out = capfd.readouterr().out
    assert "'bukcet/films" in out
    assert "check that the bucket or folder exists" in out
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["bucket"]


GENERATE = """
    from airflow_provider_kling.operators.kling import KlingGenerateOperator
    from airflow_provider_kling.storage.store import Store

    KlingGenerateOperator(
        task_id="made", payload=O1Image(prompt="@Image1", image_urls=PICTURES),
        store=Store({destination!r}, name="{{index}}.{{ext}}", storage_conn_id="store"),
    )
"""


def generate(run_dag, destination, **kwargs):
    return run_dag(GENERATE.format(destination=destination), **kwargs)


def test_a_bucket_is_tried_before_the_job_is_paid_and_nothing_is_left_of_that(s3, sim, conn_id, run_dag):
    assert generate(run_dag, "s3://bucket/clips").state == "success"
    assert objects(s3) == ["clips/0.json", "clips/0.png"]


def test_a_cleared_task_overwrites_its_own_object_and_no_other(s3, sim, conn_id, run_dag):
    first, second = (generate(run_dag, "s3://bucket/clips", again="s3_cleared") for _ in range(2))
    assert (first.state, second.state) == ("success", "success")
    assert json.loads(body(s3, "clips/0.json"))["request_id"] == sim.ledger()["jobs"][1]["request_id"]
    assert generate(run_dag, "s3://bucket/clips").state == "failed"
    assert sim.ledger()["accepted"] == 2
    assert objects(s3) == ["clips/0.json", "clips/0.png"]


@pytest.mark.parametrize("taken", ["clips/0.png", "clips/0.json"])
def test_an_object_that_nobody_described_is_left_and_nothing_is_paid(s3, sim, conn_id, run_dag, capfd, taken):
    s3.put_object(Bucket="bucket", Key=taken, Body=b"mine")
    assert generate(run_dag, "s3://bucket/clips").state == "failed"
    assert sim.requests() == []
    assert objects(s3) == [taken]
    assert f"s3://store@bucket/{taken} is there already" in capfd.readouterr().out


def test_a_bucket_that_is_not_there_is_found_before_the_job_is_paid(s3, sim, conn_id, run_dag, capfd):
    assert generate(run_dag, "s3://bukcet/clips").state == "failed"
    assert sim.requests() == []
    out = capfd.readouterr().out
    assert "destination: 's3://store@bukcet/clips' cannot be used" in out
    assert "Nothing was uploaded, sent or paid." in out
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["bucket"]
