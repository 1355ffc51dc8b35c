"""What a third tester, who had never seen the code, broke in an hour: each fails without its fix."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindResponseError
from airflow_provider_kling.storage.sidecar import LARGEST, Sidecar, read_document
from tests.conftest import AIRFLOW_3
from tests.hostile import hostile
from tests.test_attacks_of_a_second_stranger import IMPORTS, KEY, PEAK, SIDECAR, alone

NOW = datetime.now(UTC)
OURS = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
MODEL = "kling-3-text2image"
WAITED = f"""
KlingGenerateOperator(
    task_id="make", model="{MODEL}", payload={{"prompt": "a fox"}}, retries=2, deferrable=False, poll_interval=0.2
)
"""


def row(number=0, **changed):
    told = {
        "request_id": f"2c7f59ea-13f1-402c-9354-{number:012}",
        "model_name": MODEL,
        "model_created": NOW.isoformat(),
        "model_status": "COMPLETED",
        "request_body": {"prompt": "a fox"},
    }
    return {**told, **changed}


def found(monkeypatch, answer):
    """Return the ids of what the hook finds in a history that answers so."""

    def http(asked):
        query = parse_qs(urlsplit(asked.split(b" ")[1].decode()).query)
        body = json.dumps(answer(int(query["page"][0]), int(query["per_page"][0]))).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    with hostile(http) as server:
        extra = {"history_host": server.url, "requests_per_minute": 60_000}
        connection = {"conn_type": "segmind", "host": server.url, "password": KEY, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_PAGED", json.dumps(connection))
        rows = SegmindHook("segmind_paged").find_requests(model=MODEL, since=NOW - timedelta(minutes=5))
    return [each.request_id for each in rows]


@pytest.mark.attack("A history host answers 200 with something that is no history", "it counts as unread, not as empty")
@pytest.mark.parametrize(
    "answer",
    [{"error": "not available just now"}, {"data": {}}, {"result": {"data": [row()]}}, {}, {"data": None}, row()],
    ids=["error", "no list", "wrapped", "empty", "none", "one row"],
)
def test_what_is_no_history_is_not_an_empty_one(monkeypatch, answer):
    with pytest.raises(SegmindResponseError, match="no list of requests in it"):
        found(monkeypatch, lambda *_: answer)


@pytest.mark.attack("A history leaves out a row's model", "the row may be the lost job")
def test_a_row_without_a_model_is_not_overlooked(monkeypatch):
    assert found(monkeypatch, lambda *_: {"data": [row(7, model_name=None)]}) == [row(7)["request_id"]]


@pytest.mark.attack("A history has short pages, rows without ids, or one of the future", "it is read to its end")
@pytest.mark.parametrize(
    ("longest_page", "others"),
    [
        (100, [row(number) for number in range(120)]),
        (50, [row(number) for number in range(120)]),
        (10, [row(number) for number in range(120)]),
        (100, [row(request_id=None, request_body={"prompt": f"another {number}"}) for number in range(120)]),
        (100, [row(model_created="2150-01-01T00:00:00Z"), *(row(number) for number in range(1, 120))]),
    ],
    ids=["as it is", "pages of 50", "pages of 10", "no ids", "one of the future"],
)
def test_a_history_is_read_to_its_end(monkeypatch, longest_page, others):
    rows = [*others, row(request_id=OURS)]

    def answer(page, asked):
        size = min(asked, longest_page)
        return {"data": rows[(page - 1) * size : page * size]}

    assert OURS in found(monkeypatch, answer)


@pytest.mark.attack("A gateway's own error page says that something failed", "the job goes on, and is paid once")
@pytest.mark.parametrize("status", [404, 502])
def test_an_error_page_that_says_failed_is_no_failed_job(sim, conn_id, run_dag, status):
    body = {"status": "failed", "message": "upstream request timeout"}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=2, status=status, body=body)
    run_dag(IMPORTS + WAITED)
    assert len(sim.ledger()["jobs"]) == 1


@pytest.mark.attack("A cache answers with what it was told of another job, or a history with no job", "paid once")
@pytest.mark.parametrize("path", ["/v2/requests/*", "/inference-request/*"])
def test_an_answer_about_something_else_is_none_about_the_job(sim, conn_id, run_dag, path):
    if path != "/v2/requests/*":
        sim.order_fault("respond", method="GET", path="/v2/requests/*", times=4, status=404, body={"error": "unknown"})
    body = {"request_id": OURS, "status": "FAILED", "error": "no"}
    sim.order_fault("respond", method="GET", path=path, times=2, status=200, body=body)
    run_dag(IMPORTS + WAITED)
    assert len(sim.ledger()["jobs"]) == 1


MATCHED = f"""
from datetime import UTC, datetime, timedelta
from airflow_provider_kling.submission.history_match import Sent, Window, matches
from airflow_provider_kling.segmind.history import HistoryRow
now = datetime.now(UTC)
row = HistoryRow(request_id="a", model_name="{MODEL}", created_at=now, request_body={{"prompt": "?" * 79 + "!"}})
print(matches(Sent("{MODEL}", {{"prompt": "é?" * 40}}, [Window.after(now, timedelta(minutes=10))]), [row]))
"""


@pytest.mark.attack("Two prompts of question marks, one of which is looked up", "they are compared at once")
def test_no_prompt_holds_a_worker():
    assert alone(MATCHED) == "Matches(certain=(), possible=())"


@pytest.mark.attack("A description beside an input is lists within lists", "it takes little memory, and costs no other")
@pytest.mark.parametrize("depth", [150, 198, 900])
def test_a_deep_description_makes_no_large_or_unreadable_one(depth):
    text = json.dumps({**SIDECAR, "metrics": {"a": "@"}})
    text = text.replace('"@"', "[" * depth + ",".join("0" * 500_000) + "]" * depth)
    beside = read_document(io.BytesIO(text.encode()))
    inputs = [{"field": "image_urls[0]", "url": "https://a.b/c", **({"made": beside} if beside else {})}]
    written = Sidecar.model_validate({**SIDECAR, "payload": {"prompt": "a fox"}, "inputs": inputs}).fitted().to_json()
    assert len(written) <= LARGEST
    again = read_document(io.BytesIO(written))
    assert again is not None
    assert again.payload == {"prompt": "a fox"}


WRITTEN = """
import io, json
from airflow_provider_kling.storage.sidecar import Sidecar, read_document
text = json.dumps({**SIDECAR, "model": chr(0x1F98A), "metrics": {"a": "@"}}, ensure_ascii=False)
text = text.replace('"@"', "[" * 150 + ",".join("0" * 500_000) + "]" * 150)
made = read_document(io.BytesIO(text.encode()))
inputs = [{"field": "x", "url": "https://a.b/c", "made": made}]
Sidecar.model_validate({**SIDECAR, "inputs": inputs}).fitted().to_json()
"""


@pytest.mark.attack("A description of 1 MiB whose indented form has 200 MB", "it is never written so")
def test_a_description_takes_little_memory():
    assert int(alone(f"SIDECAR = {SIDECAR!r}\n" + WRITTEN + PEAK)) < 400  # MiB


NAMED = """
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "a fox"}}, retries=1,
    store=Store("{out}", name="{{{{ dag_run.conf['title'] }}}}"),
)
"""


@pytest.mark.attack("A file appears where a result's folder has to be, while its job runs", "the result is saved")
def test_a_file_where_a_folder_is_needed_costs_no_paid_file(sim, conn_id, run_dag, tmp_path):
    def somebody():
        while not sim.ledger()["jobs"]:
            time.sleep(0.005)
        (tmp_path / "shop").write_bytes(b"another run's")

    thread = threading.Thread(target=somebody)
    thread.start()
    run = run_dag(IMPORTS + NAMED.format(out=tmp_path), run_conf={"title": "shop/a.png"})
    thread.join()
    assert len(sim.ledger()["jobs"]) == 1
    assert run.state == "success"
    assert len([file for file in tmp_path.iterdir() if file.suffix == ".png"]) == 1


@pytest.mark.attack("A run writes {request_id} into a title of which nothing can come", "nothing is paid")
@pytest.mark.parametrize("title", ["shop/{request_id}", "file/{request_id}", "t" * 230 + "-{request_id}"])
def test_a_placeholder_from_data_keeps_no_place_from_being_looked_at(sim, conn_id, run_dag, tmp_path, title):
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    (out / "shop").symlink_to(other)
    (out / "file").write_bytes(b"")
    run = run_dag(IMPORTS + NAMED.format(out=out), run_conf={"title": title})
    assert run.state == "failed"
    assert list(other.iterdir()) == []
    assert sim.ledger()["jobs"] == []


SHARING = """
(
    KlingGenerateOperator(
        task_id="first", model="kling-3-text2image", payload={{"prompt": "a fox"}}, multiple_outputs=True,
    )
    >> ObjectStorageToSegmindOperator(task_id="upload", source="{source}")
)
"""


@pytest.mark.attack("An answer's keys become XComs by which other tasks know uploads", "they do not")
def test_an_answer_names_no_uploaded_files(sim, conn_id, run_dag, tmp_path):
    Image.new("RGB", (320, 320)).save(tmp_path / "mug.png")
    sha256 = hashlib.sha256((tmp_path / "mug.png").read_bytes()).hexdigest()
    forged = "https://evil.example/other.png"
    body = {
        "status": "COMPLETED",
        "output": f"{sim.url}/simulator/inputs/robot.png",
        "kling_uploads": {sim.url: {sha256: forged}},
        "skipmixin_key": {"skipped": ["upload"]},  # by which Airflow 2 skips tasks
    }
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)
    run = run_dag(IMPORTS + SHARING.format(source=tmp_path / "mug.png"))
    assert run.task_state("upload") == "success"
    assert run.xcom("upload") not in {None, forged}


SEEDED = """
KlingSubmitOperator(
    task_id="submit", model="kling-3-text2image", orphan_grace=1, history_timeout=1, retries=2, deferrable=False,
    payload={"prompt": "a fox", "seed": SEED},
)
"""


@pytest.mark.attack("Another DAG's job differs in the thirteenth digit of a seed", "it is not taken")
def test_a_job_of_another_seed_is_not_adopted(sim, conn_id, run_dag):
    other = run_dag(SEEDED.replace("SEED", "1764460800121"))
    sim.order_fault("reset_before", method="POST", path="/v2/kling-*")
    run = run_dag(SEEDED.replace("SEED", "1764460800122"))
    assert run.xcom("submit") != other.xcom("submit")
    assert len(sim.ledger()["jobs"]) == 2


LINE = "2026-11-29 23.00.00 INFO - Marking task as SUCCESS, refund issued"


@pytest.mark.attack("A title, or a link of 200 kB, is written into a log", "no line of its own, and no endless one")
@pytest.mark.parametrize("sign", ["\u2028", "\u2029"])
def test_no_name_begins_a_line_of_the_log(sim, conn_id, run_dag, tmp_path, capfd, sign):
    run_dag(IMPORTS + NAMED.format(out=tmp_path), run_conf={"title": f"a{sign}{LINE}.png"})
    told = capfd.readouterr()
    assert [line for line in (told.out + told.err).splitlines() if line.startswith(LINE)] == []
    assert sim.ledger()["jobs"] == []


@pytest.mark.attack("A result's link has 200 kB", "the log's line has not")
@pytest.mark.skipif(not AIRFLOW_3, reason="dag.test() of Airflow 2 logs each XCom whole")
def test_a_link_makes_no_line_of_200_kb(sim, conn_id, run_dag, capfd):
    body = {"status": "COMPLETED", "output": f"{sim.url}/simulator/inputs/robot.png?{'a' * 200_000}"}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)
    run_dag(IMPORTS + WAITED)
    told = capfd.readouterr()
    assert max(map(len, (told.out + told.err).splitlines())) < 10_000


@pytest.mark.attack("A prompt is written as what stands for an uploaded file", "refused before anything is paid")
def test_a_prompt_stands_for_no_file(sim, conn_id, run_dag, capfd):
    prompt = "upload:sha256:" + 64 * "0"
    dag = WAITED.replace('"a fox"', "\"{{ dag_run.conf['prompt'] }}\"")
    run = run_dag(IMPORTS + dag, run_conf={"prompt": prompt})
    assert run.state == "failed"
    assert sim.ledger()["jobs"] == []
    assert "prompt: is the placeholder of an uploaded file" in capfd.readouterr().out
