"""What a fifth and a sixth stranger tried: names and depths of answers, lengths that are none, a silent history."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import threading
import time
from datetime import UTC, datetime

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_kling.hooks.response_body import Body, BodyError
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import KlingDownloadError, SegmindError, SegmindResponseError
from airflow_provider_kling.storage.download import Download
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.storage.partial_file import Part
from tests.conftest import AIRFLOW_3, connection_json
from tests.hostile import hostile
from tests.test_attacks_of_a_second_stranger import IMPORTS, KEY, PEAK, alone

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"


def connection(url, **extra):
    extra = {"timeout": 20, "requests_per_minute": 60_000, **extra}
    return json.dumps({"conn_type": "segmind", "host": url, "password": KEY, "extra": extra})


def answered(sim, **added):
    body = {"status": "COMPLETED", "output": f"{sim.url}/simulator/inputs/robot.png", **added}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)


# Names in an answer, where an author has each of them pushed: Airflow makes a path of its API of each.
EACH_PUSHED = """
@task
def victim():
    return "honest"

victim() >> KlingGenerateOperator(
    task_id="first", model="kling-3-text2image", payload={"prompt": "a fox"}, multiple_outputs=True, retries=0,
)
"""


@pytest.mark.attack(
    "Name a part of an answer after a path of Airflow's own API, where an author has each part pushed",
    "no run is cleared or started, no other XCom is written, the result is there",
)
def test_the_names_of_an_answer_are_no_paths(sim, conn_id, run_dag):
    before = run_dag(IMPORTS + EACH_PUSHED, dag_id="paths").dag_run.run_id
    names = [
        f"../../../../dag-runs/paths/{before}/clear",
        "../../../../dag-runs/paths/forged_run",
        *("../victim/return_value", "..%2fvictim%2freturn_value", "%6bling_uploads", "./kling_uploads", "%66iles"),
        *("", ".", "..", "/", "a/b", "?", "#", "a\tb", "\u2028", "%zz", "a" * 600),
    ]
    answered(sim, **dict.fromkeys(names, "forged"), fine="kept")
    run = run_dag(IMPORTS + EACH_PUSHED, dag_id="paths")
    assert run.state == "success"
    assert run.xcom("victim") == "honest"
    assert run.xcom("first", "fine") == run.xcom("first")["fine"] == "kept"
    assert run.xcom("first")["url"].endswith("robot.png")
    assert not set(names) & set(run.xcom("first"))
    assert not any(run.xcom("first", key) for key in ("kling_uploads", "files"))
    assert [dag_run.run_id for dag_run in runs_of("paths")] == [before, run.dag_run.run_id]
    assert {str(dag_run.state) for dag_run in runs_of("paths")} == {"success"}


def runs_of(dag_id):
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        return sorted(session.query(DagRun).filter(DagRun.dag_id == dag_id), key=lambda run: run.id)


@pytest.mark.attack("An answer of three thousand names, where an author has each pushed", "64 of them are handed on")
def test_an_answer_makes_not_thousands_of_xcoms(sim, conn_id, run_dag):
    answered(sim, **{f"n{number}": 1 for number in range(3000)})
    run = run_dag(IMPORTS + EACH_PUSHED)
    assert run.state == "success"
    assert len(run.xcom("first")) < 80
    assert run.xcom("first")["url"]


@pytest.mark.attack("Nest a part of an answer 150 or 198 deep, which Airflow 3 does not read back", "it is left out")
@pytest.mark.parametrize(("depth", "place"), [(57, "extra"), (150, "output"), (198, "metrics"), (198, "extra")])
def test_a_deep_answer_loses_no_paid_result(sim, conn_id, run_dag, depth, place):
    deep, url = json.loads('{"a":' * depth + "1" + "}" * depth), f"{sim.url}/simulator/inputs/robot.png"
    added = {"extra": deep} if place == "extra" else {place: {"url": url, "x": deep}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=2, status=200, body={"status": "PROCESSING"})
    answered(sim, **added)
    run = run_dag(
        IMPORTS
        + """
made = KlingGenerateOperator(task_id="first", model="kling-3-text2image", payload={"prompt": "a fox"}, retries=0)

@task
def after(x):
    return x["url"]

after(made.output)
"""
    )
    assert run.state == "success"
    assert run.xcom("after") == url


# Lengths of an answer that are none.
ASK = """
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindError
try:
    print(SegmindHook("segmind_odd").submit("kling-o1", {"prompt": "a"}))
except SegmindError as error:
    print(type(error).__name__, str(error)[:300])
"""
FETCH = """
import logging, sys, tempfile
from fsspec.implementations.local import LocalFileSystem
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.storage.download import Download
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.storage.partial_file import Part
port, folder = int(sys.argv[1]), tempfile.mkdtemp()
try:
    Download(f"http://127.0.0.1:{port}/a.png", lambda version: Part.begin(LocalFileSystem(), folder, "whose", version),
        kind=None, hosts=Hosts(frozenset({("127.0.0.1", port)})), timeout=20, max_bytes=10**6,
        log=logging.getLogger()).run()
except SegmindError as error:
    print(type(error).__name__, str(error)[:300])
"""


@pytest.mark.attack("A chunk of -1 bytes, which urllib3 reads to the end of the connection", "no memory to speak of")
@pytest.mark.parametrize("begin", [b"-1\r\n", b"", b"2\r\n{}\r\n0\r\n"], ids=["negative", "endless line", "trailer"])
def test_a_chunk_without_a_length_takes_no_memory(begin):
    with hostile(CHUNKED + begin, *[b"1" * 16 * 1024**2] * 40) as server:
        told = alone(ASK + PEAK, seconds=100, env={"AIRFLOW_CONN_SEGMIND_ODD": connection(server.url)})
    assert int(told) < 500


@pytest.mark.attack("The same at the link of a result", "no memory to speak of")
def test_a_download_of_a_chunk_without_a_length_takes_no_memory():
    with hostile(CHUNKED + b"-1\r\n\x89PNG\r\n\x1a\n", *[bytes(16 * 1024**2)] * 40) as server:
        told = alone(FETCH + PEAK, server.port, seconds=100)
    assert int(told) < 500


@pytest.mark.attack("A download that trickles in chunks of one byte", "it is given up after the timeout")
def test_a_trickle_in_chunks_is_given_up(tmp_path):
    first = b"\x89PNG\r\n\x1a\n" + b"0" * 40
    parts = [CHUNKED + b"%x\r\n" % len(first) + first + b"\r\n", *([b"1\r\nx\r\n"] * 60)]
    with hostile(*parts, every=0.1) as server:
        download = Download(
            f"{server.url}/a.png",
            lambda version: Part.begin(LocalFileSystem(), str(tmp_path), "whose", version),
            kind=None,
            hosts=Hosts(frozenset({("127.0.0.1", server.port)})),
            timeout=0.5,
            max_bytes=10**8,
            log=logging.getLogger("x"),
        )
        with pytest.raises(KlingDownloadError, match=r"less than 64 KiB came within 0\.5 s"):
            download.run()


@pytest.mark.attack("An answer that goes on behind the end of what is compressed", "it is not read")
def test_what_follows_a_compressed_answer_is_not_kept():
    body = Body({"Content-Encoding": "gzip"}, 10_000)
    body.add(gzip.compress(b"{}"))
    with pytest.raises(BodyError, match="follow the end"):
        body.add(b"x")
    blocks = Body({"Content-Encoding": "gzip"}, 10_000)
    blocks.add(gzip.compress(b"{}")[:10])
    nothing = b"\x00\x00\x00\xff\xff"
    blocks.add(nothing * 1900)
    with pytest.raises(BodyError, match="larger than"):
        blocks.add(nothing * 200)


@pytest.mark.attack("Cookies of 60 KB with each answer", "none is kept or sent back")
def test_no_cookie_is_kept(monkeypatch):
    body = b'{"status": "PROCESSING"}'
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: a=b\r\nContent-Length: %d\r\n\r\n" % len(body)
    asked = []
    with hostile(lambda request: asked.append(request) or head + body) as server:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_ODD", connection(server.url))
        hook = SegmindHook("segmind_odd")
        for _ in range(2):
            hook.get_status(ID)
    assert len(asked) == 2
    assert not any(b"cookie" in request.lower() for request in asked)


LOOK = """
from datetime import UTC, datetime, timedelta
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindError
try:
    rows = SegmindHook("segmind_odd").find_requests(model="kling-o1", since=datetime.now(UTC) - timedelta(minutes=5))
    print([row.request_body for row in rows][:1])
except SegmindError as error:
    print(str(error)[:300])
"""


@pytest.mark.attack("Tell of jobs whose inputs are lists of lists of 60,000 signs", "no memory to speak of")
@pytest.mark.parametrize("unit", ["{},", "[" * 200 + "]" * 200 + ","], ids=["dicts", "lists within lists"])
def test_a_history_of_many_inputs_takes_no_memory_to_speak_of(unit):
    text = '{"a":[' + (unit * (60_000 // len(unit))).rstrip(",") + "]}"
    row = {"model_name": "kling-o1", "model_created": datetime.now(UTC).isoformat(), "request_body": text}

    def page(asked):
        number = int(re.search(rb"[?&]page=(\d+)", asked)[1])
        rows = [{"request_id": f"{number}-{place}", **row} for place in range(100 if number <= 3 else 0)]
        body = json.dumps({"data": rows}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    with hostile(page) as server:
        env = {"AIRFLOW_CONN_SEGMIND_ODD": connection(server.url, history_host=server.url)}
        told = alone(LOOK + PEAK, seconds=180, env=env)
    assert int(told) < 500


# Answers that say less than they seem to.
@pytest.mark.attack("One page of a gateway, 401 or 403, while a paid job is waited for", "it is looked at again")
@pytest.mark.parametrize(("code", "deferrable"), [(403, True), (401, False)])
def test_one_page_of_a_gateway_ends_no_wait_for_good(sim, conn_id, run_dag, code, deferrable):
    page = "<html>Attention Required</html>"
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=1, status=code, body=page)
    run = run_dag(
        IMPORTS
        + f"""
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "a fox"}}, retries=0, deferrable={deferrable},
    poll_interval=0.2,
)
"""
    )
    assert run.state == "success"


def test_a_gateways_page_is_told_from_a_refusal_of_the_key():
    with pytest.raises(SegmindResponseError, match="says nothing of the key"):
        protocol.credit_balance().read(401, {}, b" <html>")


@pytest.mark.attack("Leave the limit empty that a template takes from the run", "nothing is sent")
@pytest.mark.parametrize("limit", ["", None, " "])
def test_a_limit_that_a_run_leaves_empty_is_no_licence(sim, conn_id, run_dag, capfd, limit):
    run_dag(
        IMPORTS
        + """
KlingSubmitOperator(
    task_id="submit", model="kling-3-text2image", payload={"prompt": "a fox"}, retries=0,
    max_cost="{{ dag_run.conf['limit'] }}",
)
""",
        run_conf={"limit": limit},
    )
    assert sim.ledger()["jobs"] == []
    assert "which is no limit" in capfd.readouterr().out


@pytest.mark.attack("A gateway's page that quotes the key where a message is cut", "no part of it is told")
def test_no_part_of_the_key_is_left_where_a_message_is_cut(monkeypatch):
    page = ("<html>" + "x" * 274 + " " + KEY + " asked").encode("utf-16-le")
    with hostile(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(page) + page) as server:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_ODD", connection(server.url))
        told = SegmindHook("segmind_odd").test_connection()[1]
    assert "HTTP 500" in told
    assert KEY[:10] not in told


# A paid file.
CHAIN = """
first = [
    KlingGenerateOperator(
        task_id=f"picture_{{n}}", model="kling-3-text2image", payload={{"prompt": f"a fox {{n}}"}}, deferrable=False,
        poll_interval=0.2,
    )
    for n in range(3)
]
KlingGenerateOperator(
    task_id="film", model="kling-o1", deferrable=False, poll_interval=0.2, store="{out}", retries=0,
    payload={{"prompt": "@Image1", "image_urls": [task.output["url"] for task in first]}},
)
"""


@pytest.mark.attack("The history takes questions and answers none, while a file is described", "one question is lost")
def test_a_silent_history_does_not_hold_a_paid_file(sim, run_dag, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, extra={"timeout": 1}))
    sim.order_fault("hold", method="GET", path="/inference-request/request-history/*", times=999)
    run = run_dag(IMPORTS + CHAIN.format(out=tmp_path))
    assert run.state == "success"
    assert len([request for request in sim.requests() if "request-history/" in request["path"]]) == 1
    assert len(list(tmp_path.rglob("*.mp4"))) + len(list(tmp_path.rglob("*.png"))) == 1


@pytest.mark.attack("A signed link with a space, a brace or a blank at its end", "no signature is described")
@pytest.mark.parametrize(
    "link", ["?X-Amz-Signature=SECRETSIG&name=my shoe.png", "?name={a}|b&sig=SECRETSIG", "?sig=SECRETSIG "]
)
def test_a_signed_link_with_odd_signs_is_bared(sim, conn_id, run_dag, tmp_path, link):
    run_dag(
        IMPORTS
        + f"""
KlingGenerateOperator(
    task_id="make", model="kling-o1", retries=0, deferrable=False, poll_interval=0.2, store="{tmp_path}",
    payload={{
        "prompt": "@Image1 as in https://a.b/c.png?sig=SECRETSIG of May",
        "image_urls": [{f"{sim.url}/simulator/inputs/robot.png{link}"!r}],
    }},
)
"""
    )
    (described,) = tmp_path.rglob("*.json")
    text = described.read_text()
    assert "SECRETSIG" not in text
    assert "@Image1 as in https://a.b/c.png of May" in text


WAITING = """
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "{{{{ var.value.kling_prompt }}}}"}}, retries=0,
    store=Store("{out}/{{{{ var.value.kling_folder }}}}", name="{{{{ var.value.kling_title }}}}.{{ext}}"),
    poll_interval=1,
)
"""


@pytest.mark.skipif(not AIRFLOW_3, reason="below 3.0 dag.test() keeps a Variable that it has read")
@pytest.mark.attack("Change a Variable while the job runs, so that a template renders to what is none", "it is saved")
@pytest.mark.parametrize(
    ("changed", "saved"),
    [
        (("", "shop", "fox"), "shop/fox.png"),
        (("another fox", "shop", "fox"), "shop/fox.png"),
        (("a fox", "shop", "what?"), "shop/{id}-0.png"),
        (("a fox", "../other", "x"), "{id}-0.png"),
        (("a fox", "a*", "x"), "{id}-0.png"),
    ],
)
def test_a_variable_that_changes_during_the_wait_costs_no_paid_file(
    sim, conn_id, run_dag, tmp_path, monkeypatch, changed, saved
):
    prompt, folder, title = changed
    for name, value in {"PROMPT": "a fox", "FOLDER": "shop", "TITLE": "fox"}.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_KLING_{name}", value)

    def somebody():
        while not sim.ledger()["jobs"]:
            time.sleep(0.005)
        for name, value in {"PROMPT": prompt, "FOLDER": folder, "TITLE": title}.items():
            os.environ[f"AIRFLOW_VAR_KLING_{name}"] = value

    thread = threading.Thread(target=somebody)
    thread.start()
    run = run_dag(IMPORTS + WAITING.format(out=tmp_path))
    thread.join()
    assert run.state == "success"
    (job,) = sim.ledger()["jobs"]
    (file,) = tmp_path.rglob("*.png")
    assert str(file.relative_to(tmp_path)) == saved.format(id=job["request_id"])
    assert json.loads(file.with_suffix(".json").read_text())["payload"] == {"prompt": "a fox"}


@pytest.mark.attack("A run names a file in a path of a megabyte, behind an author's folder", "refused at once")
def test_no_long_path_of_a_run_holds_a_worker(sim, conn_id, run_dag):
    begun = time.monotonic()
    run = run_dag(
        IMPORTS
        + """
ObjectStorageToSegmindOperator(task_id="upload", source="/tmp/{{ dag_run.conf['name'] }}", retries=0)
""",
        run_conf={"name": "a/" * 500_000 + "b.png"},
    )
    assert run.state == "failed"
    assert time.monotonic() - begun < 30
    assert sim.uploads() == []


def test_a_refused_answer_is_an_error_of_the_tree():
    with pytest.raises(SegmindError):
        protocol.status(ID).read(403, {}, b"<html>")


# A retry, which renders its templates anew, of a task whose job is paid.
RETRIED = """
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "{{{{ var.value.kling_prompt }}}}"}}, retries=1,
    store=Store("{out}/{{{{ var.value.kling_folder }}}}", name="{{{{ var.value.kling_title }}}}.{{ext}}"),
    max_cost="{{{{ var.value.kling_limit }}}}", poll_interval=0.2, deferrable=False, timeout=1,
)
"""
FIRST = {"PROMPT": "a fox", "FOLDER": "shop", "TITLE": "fox", "LIMIT": "1"}


@pytest.mark.skipif(not AIRFLOW_3, reason="below 3.0 dag.test() keeps a Variable that it has read")
@pytest.mark.attack("Change a Variable before a retry, so that a template renders to what is none", "the job is taken")
@pytest.mark.parametrize(
    "changed", [{"FOLDER": "../other"}, {"TITLE": "what?"}, {"LIMIT": ""}, {"LIMIT": "much"}, {"PROMPT": ""}], ids=str
)
def test_a_variable_that_changes_before_a_retry_costs_no_paid_file(
    sim, conn_id, run_dag, tmp_path, monkeypatch, capfd, changed
):
    for name, value in FIRST.items():
        monkeypatch.setenv(f"AIRFLOW_VAR_KLING_{name}", value)
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=8, status=200, body={"status": "PROCESSING"})

    def somebody():
        while not sim.ledger()["jobs"]:
            time.sleep(0.005)
        for name, value in changed.items():
            os.environ[f"AIRFLOW_VAR_KLING_{name}"] = value

    thread = threading.Thread(target=somebody)
    thread.start()
    run = run_dag(IMPORTS + RETRIED.format(out=tmp_path))
    thread.join()
    (job,) = sim.ledger()["jobs"]
    if "PROMPT" in changed:  # what is wanted by now is no payload: the job is named, and nothing advises a new one
        out = capfd.readouterr().out
        assert f"Request {job['request_id']} of an earlier attempt was accepted" in out
        assert "start a new run" not in out
    else:
        assert run.state == "success"
        assert len(list(tmp_path.rglob("*.png"))) == 1


@pytest.mark.attack("The history takes questions and answers none, while a run is added up", "one question is lost")
def test_a_silent_history_does_not_hold_the_sum_of_a_run_for_each_job(sim, run_dag, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, extra={"timeout": 0.3}))
    sim.order_fault("hold", method="GET", path="/inference-request/request-history/*", times=999)
    run = run_dag(
        IMPORTS
        + """
from airflow_provider_kling.operators.cost import KlingRunCostOperator

jobs = [
    KlingSubmitOperator(task_id=f"submit_{n}", model="kling-3-text2image", payload={"prompt": f"a fox {n}"})
    for n in range(3)
]
jobs >> KlingRunCostOperator(task_id="cost")
"""
    )
    assert run.xcom("cost")["jobs"] == len(run.xcom("cost")["unknown"]) == 3
    assert len([request for request in sim.requests() if "request-history/" in request["path"]]) == 5
