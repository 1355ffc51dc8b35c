"""What a twelfth tester, who wrote no fix, broke."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
import time
import zlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from PIL import Image

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.sanitize import EXCERPT_CHARS
from airflow_provider_kling.storage import lineage
from airflow_provider_kling.storage.download import Download
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.submission.policy import MOST_LOST
from tests.test_attacks_of_a_second_stranger import PEAK, alone
from tests.test_attacks_of_an_eleventh_stranger import told_by

MIB = 1024**2


@contextmanager
def server(answer):
    """Serve what ``answer(handler)`` gives: status, headers, body, seconds before it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            status, headers, body, pause = answer(self)
            asked.append(self.path)
            time.sleep(pause)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = reply  # noqa: N815 http.server's names

        def log_message(self, *_):
            pass

    asked = []
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", asked
    finally:
        listening.shutdown()


GENERATE = """
import json, os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 * 1024**3,) * 2)  # for the machine's sake
os.environ["AIRFLOW_CONN_G"] = json.dumps(
    {"conn_type": "segmind", "host": sys.argv[1], "password": "SG_0123456789", "extra": {"timeout": 60}}
)
from airflow_provider_kling.hooks.segmind import SegmindHook
try:
    SegmindHook("g").generate("kling-o1", {"prompt": "x"})
except Exception as exc:
    print(type(exc).__name__, str(exc)[:200])
"""


@pytest.mark.attack("A v1 answer of 49 KB that is a list of 16 million lists", "an error, less than 600 MiB")
def test_a_small_answer_to_the_v1_call_takes_no_memory_to_speak_of():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    unit = b"[]," * (MIB // 3)
    body = packer.compress(b"[") + b"".join(packer.compress(unit) for _ in range(48)) + packer.compress(b"[]]")
    body += packer.flush()
    assert len(body) < 150_000
    head = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    with server(lambda _: (200, head, body, 0)) as (url, _):
        peak = int(alone(GENERATE + PEAK, url, seconds=200))
    assert peak < 600, f"{peak} MiB for an answer of {len(body)} bytes"


@pytest.mark.attack("A history that says 404 slowly, for each input", "a paid file waits 10 s at most")
def test_a_history_that_says_not_found_slowly_does_not_hold_a_paid_file(set_connection):
    body = b'{"error": "not found"}'
    with server(lambda _: (404, {"Content-Type": "application/json"}, body, 3)) as (url, asked):
        hook = SegmindHook(set_connection(extra={"history_host": url, "timeout": 60}))
        links = [f"https://files.example/{n}.png" for n in range(5)]
        results = {
            link: {"request_id": f"2c7f59ea-13f1-402c-9353-915a2b5a21{n:02}", "urls": [link]}
            for n, link in enumerate(links)
        }
        inputs = lineage.Lineage(hook, {}, results, None, logging.getLogger("x"))
        begun = time.monotonic()
        inputs.inputs({"prompt": "x", "image_urls": links})
        took = time.monotonic() - begun
    assert took < 1.5 * lineage.PATIENCE, (took, asked)


@pytest.mark.attack("An upload's address of 250 KB", "a line of the log has 8,000 characters at most")
def test_an_uploads_address_makes_no_line_of_250_kb(sim, set_connection, run_dag, tmp_path, capfd):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    address = "https://files.example/" + "a" * 250_000 + ".png"
    body = json.dumps({"file_urls": [address]}).encode()
    with server(lambda _: (200, {"Content-Type": "application/json"}, body, 0)) as (url, _):
        other = set_connection(extra={"storage_host": url})
        run = run_dag(
            f"""
from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator
ObjectStorageToSegmindOperator(task_id="up", source="{picture}", segmind_conn_id="{other}")
"""
        )
    told = capfd.readouterr()
    lines = [line for line in (told.out + told.err).splitlines() if "Uploaded" in line]
    assert run.state in {"success", "failed"}
    assert max(map(len, lines), default=0) < 9000


PAGE = """
import resource, sys, urllib.error, urllib.request
from airflow_provider_kling.simulator import Simulator

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 1024**2

with Simulator() as sim:
    begun = rss()
    for _ in range(400):  # what fetch(…, {method: "POST", mode: "no-cors", body}) of any page sends
        head = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
        body = b"[" + b"[]," * 21_840 + b"[]]"
        try:
            urllib.request.urlopen(urllib.request.Request(sim.url + "/v2/x", data=body, headers=head))
        except urllib.error.HTTPError as error:
            assert error.code in {401, 403}
    print(rss() - begun)
"""


@pytest.mark.attack("A web page posts to the simulator's API", "403, and nothing is kept")
def test_a_page_without_a_key_fills_no_memory_of_the_simulator():
    grown = int(alone(PAGE, seconds=200))
    assert grown < 100, f"{grown} MiB for 400 posts of 64 KiB without a key, of another origin"


KEY = "SG_0a1b2c3d4e5f6071"


@pytest.mark.attack("A page in UTF-16 with the key where it is cut", "no part of the key is quoted")
@pytest.mark.parametrize("how", ["worker", "triggerer"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_page_in_utf_16_tells_not_all_but_one_sign_of_the_key(set_connection, how, encoding):
    width = len("a".encode(encoding))
    shown = EXCERPT_CHARS * 40 // width  # what of the page is looked at
    body = (" " * (shown - len(KEY) + 1) + KEY + " is unknown").encode(encoding)
    with server(lambda _: (502, {"Content-Type": "text/plain"}, body, 0)) as (url, _):
        told = told_by(how, set_connection(host=url, password=KEY, extra={"timeout": 5}))
    assert KEY[:-1] not in told, told


@pytest.mark.attack("A proxy answers a download with its password", "no part of it is quoted")
def test_the_begin_of_what_a_proxy_answers_tells_not_all_but_one_sign_of_its_password(set_connection, monkeypatch):
    password = "9f86d081884c7d659a2f"
    body = b"Who is: user:" + password.encode() + b"? I know no such user."
    with server(lambda _: (200, {"Content-Type": "text/plain"}, body, 0)) as (url, _):
        monkeypatch.setenv("http_proxy", f"http://user:{password}@{url.removeprefix('http://')}")
        SegmindHook(set_connection()).settings  # noqa: B018 as any task does
        part = FakePart()
        with pytest.raises(SegmindError) as raised:
            Download(
                "http://cdn.example/a.png",
                lambda _: part,
                kind="image",
                hosts=Hosts(),
                timeout=3,
                max_bytes=10**6,
                log=logging.getLogger("x"),
            ).run()
    assert password[:-1] not in str(raised.value), str(raised.value)


class FakePart:
    size, head, path = 0, b"", "x"

    def write(self, chunk):
        self.size += len(chunk)
        self.head = (self.head + chunk)[:32]

    def close(self):
        pass

    keep = discard = restart = close


LOST = """
from airflow_provider_kling.budget import KlingBudget
KlingSubmitOperator(
    task_id="make", model="kling-3-text2image", payload={"prompt": "a fox"}, retries=0, deferrable=DEFERRABLE,
    orphan_grace=2, history_timeout=1, max_cost=0.04, budget=KlingBudget(1),
)
"""


@pytest.mark.attack("A gateway loses every reply and every row", "three submits in a try, then a person is asked")
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_a_gateway_that_loses_replies_and_rows_makes_not_any_number_of_jobs(sim, conn_id, run_dag, deferrable, capfd):
    sim.order_fault("replace_after", method="POST", path="/v2/kling-*", times=9, status=502, body="<html>502</html>")
    history = "/inference-request/request-history*"
    sim.order_fault("respond", method="GET", path=history, times=9999, status=200, body={"data": []})
    run_dag(LOST.replace("DEFERRABLE", str(deferrable)))
    assert len(sim.ledger()["jobs"]) == MOST_LOST
    assert "Something between here and Segmind loses answers" in capfd.readouterr().out


NAMED = 'destination="OUT", name="{request_id}-{index}.{ext}"'
SUBMIT = """
submit = KlingSubmitOperator(task_id="submit", model="kling-3-text2image", payload={"prompt": "a fox"})
KlingSensor(task_id="wait", request_id=submit.output, mode="poke", poll_interval=0.2)
"""
OF_CONF = f"""
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

@task
def results(**context):
    return [{{"result": context["dag_run"].conf["result"]}}]

SegmindToObjectStorageOperator.partial(task_id="keep", {NAMED}).expand_kwargs(results())
"""
OF_JOB = f"""
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
SegmindToObjectStorageOperator(task_id="keep", result="ID", {NAMED})
"""
ADOPTED = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.storage.store import Store
KlingGenerateOperator(
    task_id="keep", model="kling-3-text2image", payload={"prompt": "a fox"}, adopt_request_id="ID", deferrable=False,
    poll_interval=0.2, store=Store("OUT", name="{request_id}-{index}.{ext}"),
)
"""


@pytest.mark.attack("A run's data names another job's id and a file of its own", "the paid file is not taken for it")
@pytest.mark.parametrize("victim", [OF_JOB, ADOPTED], ids=["transfer", "generate"])
def test_a_run_that_names_anothers_job_does_not_take_the_place_of_its_file(sim, conn_id, run_dag, tmp_path, victim):
    out = str(tmp_path / "out")
    job = run_dag(SUBMIT).xcom("wait")
    foreign = {"request_id": job["request_id"], "urls": [f"{sim.url}/simulator/inputs/beach.png"]}
    run_dag(OF_CONF.replace("OUT", out), run_conf={"result": foreign})
    run = run_dag(victim.replace("OUT", out).replace("ID", job["request_id"]))
    links = job["url"], foreign["urls"][0]
    sums = [hashlib.sha256(requests.get(link, timeout=10).content).hexdigest() for link in links]
    kept = [hashlib.sha256(file.read_bytes()).hexdigest() for file in tmp_path.rglob("*.png")]
    told = run.xcom("keep") or []
    told = told["files"] if isinstance(told, dict) else told
    assert [file["sha256"] for file in told] != sums[1:], "the other run's file is handed on as the paid one"
    assert sums[0] in kept or run.state == "failed"


SERVED = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

@task
def results(**context):
    return [context["dag_run"].conf["kept"]]

SegmindToObjectStorageOperator.partial(
    task_id="keep", destination="OUT", segmind_conn_id="CONN"
).expand_kwargs(results())
"""


@pytest.mark.attack("Data names a result x.php", "refused")
@pytest.mark.parametrize("name", ["x.php", "x.html", "__init__.py"])
def test_data_names_no_picture_as_a_program(sim, set_connection, run_dag, tmp_path, name):
    buffer = io.BytesIO()
    Image.new("P", (16, 16)).save(buffer, "GIF")
    body = buffer.getvalue() + b"<?php system($_GET['c']); ?><script>alert(1)</script>"

    def answer(asked):
        return (200, {"Content-Type": "image/gif"}, body, 0) if asked.path == "/a.gif" else (404, {}, b"{}", 0)

    with server(answer) as (url, _):
        other = set_connection(host=url)
        kept = {
            "name": name,
            "result": {"request_id": "2c7f59ea-13f1-402c-9353-915a2b5a2124", "urls": [f"{url}/a.gif"]},
        }
        run_dag(SERVED.replace("OUT", str(tmp_path)).replace("CONN", other), run_conf={"kept": kept})
    assert not (tmp_path / name).exists()
