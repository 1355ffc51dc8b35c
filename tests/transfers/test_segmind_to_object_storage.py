"""Results kept by a real Airflow: on a disk, from a simulator and from a host that misbehaves."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
from tests.conftest import AIRFLOW_3
from tests.transfers.conftest import ID, result_of

IMPORT = """
    from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
"""
CHAIN = (
    IMPORT
    + """
    submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))
    done = KlingSensor(task_id="done", request_id=submit.output, poll_interval=0.2)
    SegmindToObjectStorageOperator(task_id="keep", result={result}, destination={folder!r}, {more})
"""
)
KEEP = (
    IMPORT
    + """
    SegmindToObjectStorageOperator(task_id="keep", result={result!r}, destination={folder!r}, {more})
"""
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def only_sidecar(folder: Path) -> dict:
    (file,) = folder.rglob("*.json")
    return json.loads(file.read_text())


def keep(run_dag, folder, result, more="", **kwargs):
    more = f"segmind_conn_id='segmind_other', {more}"
    return run_dag(KEEP.format(result=result, folder=str(folder), more=more), **kwargs)


@pytest.mark.parametrize("result", ["done.output", "submit.output", "\"{{ ti.xcom_pull(task_ids='done') }}\""])
def test_a_result_is_kept_with_its_description(sim, conn_id, run_dag, pictures, folder, result):
    more = "" if result == "done.output" else "); done >> dag.get_task('keep'"
    run = run_dag(CHAIN.format(result=result, folder=str(folder), more=more))
    assert run.state == "success"
    (job,) = sim.ledger()["jobs"]
    (kept,) = run.xcom("keep")
    file = Path(kept["path"].removeprefix("file://"))
    assert kept["type"] == "image/png" or kept["type"] == "image/jpeg"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == kept["sha256"]
    assert file.stat().st_size == kept["size"]
    assert (kept["width"], kept["height"], kept["duration"]) == (kept["width"], kept["height"], None)
    assert kept["width"] > 0
    sidecar = only_sidecar(folder)
    assert sidecar["request_id"] == job["request_id"]
    assert sidecar["model"] == "kling-o1"
    assert sidecar["payload"]["image_urls"] == pictures
    assert sidecar["cost"] == 0.035
    assert sidecar["url"] == job["url"]
    assert sidecar["created_at"] < sidecar["stored_at"]
    assert [item["url"] for item in sidecar["inputs"]] == pictures
    assert sidecar["file"] == file.name
    assert len(files(folder)) == 2
    assert sim.api_key not in json.dumps(sidecar)
    assert all(download["key"] == "absent" for download in sim.downloads())


def test_a_video_is_followed_back_to_its_first_picture_through_files_that_were_kept_and_those_that_were_not(
    sim, conn_id, run_dag, pictures, folder
):
    run = run_dag(
        IMPORT
        + f"""
    image = KlingSubmitOperator(task_id="image", payload=O1Image(prompt="@Image1", image_urls=PICTURES[:1]))
    pictured = KlingSensor(task_id="pictured", request_id=image.output, poll_interval=0.2)
    first = SegmindToObjectStorageOperator(task_id="first", result=pictured.output, destination={str(folder)!r})
    video = KlingSubmitOperator(
        task_id="video", payload=O1ImageToVideo(prompt="x", start_image_url=pictured.output["url"])
    )
    filmed = KlingSensor(task_id="filmed", request_id=video.output, poll_interval=0.2)
    edit = KlingSubmitOperator(
        task_id="edit", payload=O1VideoEdit(prompt="@Video1", video_url=filmed.output["url"])
    )
    edited = KlingSensor(task_id="edited", request_id=edit.output, poll_interval=0.2)
    first >> SegmindToObjectStorageOperator(task_id="last", result=edited.output, destination={str(folder)!r})
    """
    )
    assert run.state == "success"
    (kept,) = run.xcom("last")
    sidecar = json.loads(Path(kept["sidecar"].removeprefix("file://")).read_text())
    assert kept["duration"] > 1
    (source,) = sidecar["inputs"]
    assert (source["field"], source["made"]["model"]) == ("video_url", "kling-o1-image-to-video")
    assert "path" not in source
    (picture,) = source["made"]["inputs"]
    assert picture["made"]["model"] == "kling-o1"
    assert picture["path"] == run.xcom("first")[0]["path"]
    assert picture["sha256"] == run.xcom("first")[0]["sha256"]
    assert [item["url"] for item in picture["made"]["inputs"]] == pictures[:1]


# An asset is registered where a scheduler knows it, which `dag.test()` of Airflow 2 does not see to.
knows_assets = pytest.mark.skipif(not AIRFLOW_3, reason="on Airflow 2 only with a scheduler: tests/e2e")
IMPORT_ASSETS = "    from airflow.providers.common.compat.sdk import Asset, AssetAlias\n"


@knows_assets
def test_the_folder_is_an_asset_whose_event_carries_the_facts_of_the_file(host, run_dag, folder):
    run = keep(run_dag, folder, result_of(host, cost=0.5, seed=7))
    assert run.state == "success"
    (kept,) = run.xcom("keep")
    (event,) = events(run)
    assert event.extra["request_id"] == ID
    assert event.extra["path"] == kept["path"]
    assert event.extra["sha256"] == kept["sha256"]
    assert event.extra["cost"] == 0.5
    assert event.extra["seed"] == "7"
    assert event.extra["sidecar"] == kept["sidecar"]
    assert "files" not in event.extra
    assert uri_of(event) == f"file://{folder}"


@knows_assets
def test_files_of_one_job_make_one_event_that_carries_the_facts_of_all(host, run_dag, folder):
    run = keep(run_dag, folder, {**result_of(host), "urls": [host.link, f"{host.link}?second"]})
    assert run.state == "success"
    paths = [kept["path"] for kept in run.xcom("keep")]
    (event,) = events(run)
    assert event.extra["path"] == paths[0]
    assert [file["path"] for file in event.extra["files"]] == paths
    assert [file["index"] for file in event.extra["files"]] == [0, 1]


@knows_assets
def test_mapped_tasks_add_an_event_each_to_the_one_asset(host, run_dag, folder):
    ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]
    destination = f"file://{folder}/{{{{ run_id }}}}"
    run = run_dag(
        IMPORT
        + f"""
    SegmindToObjectStorageOperator.partial(
        task_id="keep", destination={destination!r}, segmind_conn_id="segmind_other"
    ).expand(result={[result_of(host, request_id) for request_id in ids]!r})
    """
    )
    assert run.state == "success"
    told = events(run)
    assert sorted(event.extra["request_id"] for event in told) == ids
    assert {uri_of(event) for event in told} == {f"file://{folder}"}


def test_outlets_of_ones_own_are_told_instead_and_an_alias_gets_each_file_as_an_asset(host, run_dag, folder):
    outlets = "outlets=[AssetAlias('films'), Asset('s3://bucket/films')]"
    folder = folder / "café"
    run = run_dag(
        IMPORT_ASSETS
        + KEEP.format(result=result_of(host), folder=str(folder), more=f"segmind_conn_id='segmind_other', {outlets}")
    )
    assert run.state == "success"
    (kept,) = run.xcom("keep")
    told = {uri_of(event): event.extra for event in events(run)}
    alias = told.pop(kept["path"].replace("é", "%C3%A9"))
    assert alias["request_id"] == ID
    assert alias["path"] == kept["path"]
    if AIRFLOW_3:
        assert told["s3://bucket/films"]["path"] == kept["path"]


OF_THE_RUN = (
    IMPORT_ASSETS
    + IMPORT
    + """
    @task(outlets=[Asset({named!r})])
    def other():
        pass

    other() >> SegmindToObjectStorageOperator(
        task_id="keep", result={result!r}, destination="{{{{ params.folder }}}}", segmind_conn_id="segmind_other",
        params={{"folder": {folder!r}}},
    )
    """
)


@knows_assets
def test_a_folder_that_only_the_run_knows_gets_its_event_where_a_dag_names_it(host, run_dag, folder, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__STORE_ALLOWED_PATHS", str(folder))
    run = run_dag(OF_THE_RUN.format(named=f"file://{folder}", result=result_of(host), folder=f"file://{folder}/"))
    assert run.state == "success"
    (event,) = [event for event in events(run) if event.source_task_id == "keep"]
    assert uri_of(event) == f"file://{folder}"
    assert event.extra["request_id"] == ID


def test_a_folder_that_only_the_run_knows_and_no_dag_names_gets_none_and_is_filled(
    host, run_dag, folder, capfd, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__KLING__STORE_ALLOWED_PATHS", str(folder))
    run = run_dag(OF_THE_RUN.format(named="file:///elsewhere", result=result_of(host), folder=str(folder)))
    assert run.state == "success"
    assert len(files(folder)) == 2
    assert [event for event in events(run) if event.source_task_id == "keep"] == []
    if AIRFLOW_3:
        assert f"No DAG names asset file://{folder}" in capfd.readouterr().out


def events(run):
    from airflow.utils.session import create_session
    from sqlalchemy import select

    if AIRFLOW_3:
        from airflow.models.asset import AssetEvent as Event
    else:
        from airflow.models.dataset import DatasetEvent as Event
    with create_session() as session:
        found = session.scalars(select(Event).where(Event.source_dag_id == run.dag_run.dag_id)).unique().all()
        for event in found:
            uri_of(event)
        session.expunge_all()
        return found


def uri_of(event):
    return event.asset.uri if AIRFLOW_3 else event.dataset.uri


def test_a_retry_fetches_nothing_that_is_there(host, run_dag, folder):
    broken = "on_success_callback=None, post_execute=fail_once, retries=1"
    once = f"""
    def fail_once(*args):
        from pathlib import Path
        mark = Path({str(folder)!r} + ".mark")
        if not mark.exists():
            mark.touch()
            raise RuntimeError("after the file was kept")
"""
    run = run_dag(
        once
        + KEEP.format(result=result_of(host), folder=str(folder), more=f"segmind_conn_id='segmind_other', {broken}")
    )
    assert run.state == "success"
    assert run.task("keep").try_number == 2
    assert host.asked == [None]
    assert len(files(folder)) == 2


def test_a_file_that_somebody_cut_short_is_fetched_again(host, run_dag, folder, film):
    name = "name='x/{index}.{ext}'"
    keep(run_dag, folder, result_of(host), name)
    (folder / "x" / "0.mp4").write_bytes(film[:100])
    assert keep(run_dag, folder, result_of(host), name).state == "success"
    assert (folder / "x" / "0.mp4").read_bytes() == film
    assert len(host.asked) == 2


def test_a_file_that_was_damaged_and_kept_its_size_is_fetched_again(host, run_dag, folder, film):
    name = "name='x/{index}.{ext}'"
    keep(run_dag, folder, result_of(host), name)
    (folder / "x" / "0.mp4").write_bytes(film[:-8] + b"damaged!")
    assert keep(run_dag, folder, result_of(host), name).state == "success"
    assert (folder / "x" / "0.mp4").read_bytes() == film


def test_a_name_that_belongs_to_another_job_is_refused_and_its_file_is_left(host, run_dag, folder, capfd):
    name = "retries=2, name='film.{ext}'"
    assert keep(run_dag, folder, result_of(host), name).state == "success"
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    other = "00000000-0000-0000-0000-000000000001"
    run = keep(run_dag, folder, result_of(host, other), name)
    assert run.task_state("keep") == "failed"
    assert run.task("keep").try_number == 1
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before
    out = capfd.readouterr().out
    assert f"belongs to output 0 of request {ID}" in out
    assert "put {request_id}" in out


def test_a_cleared_task_puts_the_file_of_the_new_job_in_the_place_of_its_own_before(host, run_dag, folder, capfd):
    """The chain of submit, sensor and this one was cleared from the submit on."""
    again = {"again": "cleared_keep"}
    assert keep(run_dag, folder, result_of(host), **again).state == "success"
    before = files(folder)
    other = "00000000-0000-0000-0000-000000000001"
    assert keep(run_dag, folder, result_of(host, other), **again).state == "success"
    assert files(folder) == before
    assert only_sidecar(folder)["request_id"] == other
    assert f"replaces the file of request {ID}, which this task saved before" in capfd.readouterr().out


def test_outputs_of_one_job_do_not_take_each_others_place(host, run_dag, folder):
    run = keep(run_dag, folder, result_of(host) | {"urls": [host.link, f"{host.link}?second"]}, "name='film.{ext}'")
    assert run.task_state("keep") == "failed"
    assert only_sidecar(folder)["index"] == 0


def test_a_name_that_is_refused_is_cured_by_clearing_this_task_alone_with_another_name(host, run_dag, folder, capfd):
    name = "name='film.{ext}'"
    assert keep(run_dag, folder, result_of(host), name).state == "success"
    other = "00000000-0000-0000-0000-000000000001"
    run = keep(run_dag, folder, result_of(host, other), name, again="another_name")
    assert run.task_state("keep") == "failed"
    assert "then clear this task alone: it fetches the file of request" in capfd.readouterr().out
    run = keep(run_dag, folder, result_of(host, other), "name='film-{request_id}.{ext}'", again="another_name")
    assert run.state == "success"
    assert files(folder) == [
        "film-00000000-0000-0000-0000-000000000001.json",
        f"film-{other}.mp4",
        "film.json",
        "film.mp4",
    ]


def test_two_tasks_with_one_name_at_the_same_time_leave_one_whole_file(host, run_dag, folder, film):
    results = [result_of(host, f"00000000-0000-0000-0000-00000000000{n}") for n in range(4)]
    run = run_dag(
        IMPORT
        + f"""
    SegmindToObjectStorageOperator.partial(
        task_id="keep", destination={str(folder)!r}, name="film.{{ext}}", segmind_conn_id="segmind_other"
    ).expand(result={results!r})
    """
    )
    states = sorted(run.task_state("keep", index) for index in range(4))
    assert states == ["failed", "failed", "failed", "success"]
    assert files(folder) == ["film.json", "film.mp4"]
    assert (folder / "film.mp4").read_bytes() == film


def test_a_file_that_nobody_described_is_not_overwritten(host, run_dag, folder, capfd):
    folder.mkdir()
    (folder / "film.mp4").write_bytes(b"mine")
    run = keep(run_dag, folder, result_of(host), "name='film.{ext}'")
    assert run.task_state("keep") == "failed"
    assert files(folder) == ["film.mp4"]
    assert (folder / "film.mp4").read_bytes() == b"mine"
    assert "nothing beside it says whose it is" in capfd.readouterr().out


def test_an_empty_description_claims_no_file_that_somebody_put_there(host, run_dag, folder, capfd):
    folder.mkdir()
    (folder / "film.json").touch()  # as a task leaves it that dies while it makes it
    (folder / "film.mp4").write_bytes(b"mine")
    run = keep(run_dag, folder, result_of(host), "name='film.{ext}'")
    assert run.task_state("keep") == "failed"
    assert (folder / "film.mp4").read_bytes() == b"mine"
    assert "nothing beside it says whose it is" in capfd.readouterr().out


def test_a_json_file_of_the_users_own_is_not_overwritten(host, run_dag, folder, capfd):
    folder.mkdir()
    (folder / "film.json").write_text('{"mine": true}')
    run = keep(run_dag, folder, result_of(host), "name='film.{ext}'")
    assert run.task_state("keep") == "failed"
    assert files(folder) == ["film.json"]
    assert (folder / "film.json").read_text() == '{"mine": true}'
    assert "not the description of a file" in capfd.readouterr().out


def test_a_download_that_the_service_breaks_off_is_finished_and_nothing_is_paid_twice(sim, conn_id, run_dag, folder):
    sim.order_fault("truncate", method="GET", path="/generations/*")
    run = run_dag(CHAIN.format(result="done.output", folder=str(folder), more=""))
    assert run.state == "success"
    assert len(sim.downloads()) == 2
    assert len(files(folder)) == 2
    assert sim.ledger()["accepted"] == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_dead_link_is_replaced_by_the_one_in_the_history(sim, host, run_dag, folder, pictures, status):
    request_id = submitted(sim, pictures)
    sim.order_fault("respond", method="GET", path="/generations/old.png", times=9, status=status, body="")
    stale = {"request_id": request_id, "model": "kling-o1", "urls": [f"{sim.url}/generations/old.png"]}
    run = keep(run_dag, folder, stale)
    assert run.state == "success"
    assert only_sidecar(folder)["request_id"] == request_id
    assert sim.ledger()["accepted"] == 1


def test_a_file_that_has_expired_says_so_at_once(sim, host, run_dag, folder, pictures, capfd):
    request_id = submitted(sim, pictures)
    (job,) = sim.ledger()["jobs"]
    sim.advance(8 * 24 * 3600)
    path = f"/inference-request/request-history/{request_id}"
    known = requests.get(sim.url + path, headers={"x-api-key": sim.api_key}, timeout=10).json()
    made_at = (datetime.now(tz=UTC) - timedelta(days=8)).isoformat()
    aged = re.sub(r'"model_created": "[^"]*"', f'"model_created": "{made_at}"', json.dumps(known))
    sim.order_fault("respond", method="GET", path=path, times=99, status=200, body=json.loads(aged))
    run = keep(run_dag, folder, {"request_id": request_id, "urls": [job["url"]]}, "retries=2")
    assert run.task_state("keep") == "failed"
    assert run.task("keep").try_number == 1
    out = capfd.readouterr().out
    assert "has expired" in out
    assert "seven days" in out
    assert not folder.exists() or files(folder) == []


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_should_be_there_is_looked_for_again(sim, host, run_dag, folder, pictures, status):
    request_id = submitted(sim, pictures)
    (job,) = sim.ledger()["jobs"]
    path = urlsplit(job["url"]).path
    sim.order_fault("respond", method="GET", path=path, times=2, status=status, body="")
    run = keep(run_dag, folder, {"request_id": request_id, "urls": [job["url"]]})
    assert run.state == "success"
    assert len(files(folder)) == 2


def test_a_file_that_should_be_there_and_is_not_is_left_to_a_retry(sim, host, run_dag, folder, pictures, capfd):
    request_id = submitted(sim, pictures)
    (job,) = sim.ledger()["jobs"]
    sim.order_fault("respond", method="GET", path=urlsplit(job["url"]).path, times=4, status=404, body="")
    run = keep(run_dag, folder, {"request_id": request_id, "urls": [job["url"]]}, "retries=1")
    assert run.state == "success"
    assert run.task("keep").try_number == 2
    out = capfd.readouterr().out
    assert "is not 7 days old, so its file should be there: a retry" in out
    assert "new job" not in out


def submitted(sim, pictures) -> str:
    from airflow_provider_kling.hooks.segmind import SegmindHook

    payload = {"prompt": "@Image1", "image_urls": pictures}
    request_id = SegmindHook("segmind_other").submit("kling-o1", payload).request_id
    sim.advance(600)
    while not SegmindHook("segmind_other").get_status(request_id).status.is_terminal:
        pass
    return request_id


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "web page"),
        (b"\x00\x00\x00\x20ftypisom" + b"0" * 999, "cannot be decoded"),
    ],
)
def test_what_is_no_film_is_not_kept(host, run_dag, folder, capfd, body, words):
    host.body = body
    run = keep(run_dag, folder, result_of(host))
    assert run.task_state("keep") == "failed"
    assert files(folder) == []
    assert words in capfd.readouterr().out


def test_a_link_into_the_workers_network_is_refused(host, run_dag, folder, capfd):
    run = keep(run_dag, folder, result_of(host) | {"urls": ["http://169.254.169.254/latest/meta-data"]}, "retries=2")
    assert run.task_state("keep") == "failed"
    assert run.task("keep").try_number == 1
    assert "no public address" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (["a", "b"], "map"),
        ({"urls": ["https://x/y"]}, "request_id"),
        ("", "is no request id"),
    ],
)
def test_what_is_no_result_fails_at_once(host, run_dag, folder, capfd, result, words):
    run = keep(run_dag, folder, result, "retries=2")
    assert run.task_state("keep") == "failed"
    assert run.task("keep").try_number == 1
    assert words in capfd.readouterr().out


def test_what_cannot_work_shows_when_the_dag_file_is_parsed():
    with pytest.raises(SegmindInputError, match="placeholder"):
        SegmindToObjectStorageOperator(task_id="a", result="r", destination="/x", name="{nope}")
    with pytest.raises(SegmindInputError, match="wherever a worker"):
        SegmindToObjectStorageOperator(task_id="a", result="r", destination="x")
