"""What a thirteenth tester, who wrote no fix, broke."""

from __future__ import annotations

import io
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.submission.policy import MOST_LOST
from tests.test_attacks_of_a_second_stranger import PEAK, alone
from tests.test_attacks_of_a_twelfth_stranger import GENERATE, LOST, MIB, server

HISTORY = "/inference-request/request-history*"


@pytest.mark.attack(
    "A gateway loses every reply and every row, and refuses every other submit",
    "three lost ones in a try, then a person is asked",
)
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_losing_and_refusing_in_turn(sim, conn_id, run_dag, deferrable):
    for _ in range(3):
        sim.order_fault(
            "replace_after", method="POST", path="/v2/kling-*", times=1, status=502, body="<html>502</html>"
        )
        sim.order_fault(
            "replace_after",
            method="POST",
            path="/v2/kling-*",
            times=1,
            status=429,
            headers={"x-rate-limit-reset-at-utc": "1"},
            body={"error": "Too many requests"},
        )
    sim.order_fault("respond", method="GET", path=HISTORY, times=9999, status=200, body={"data": []})
    run_dag(LOST.replace("DEFERRABLE", str(deferrable)).replace("KlingBudget(1)", "KlingBudget(0.05)"))
    assert len(sim.ledger()["jobs"]) == 2 * MOST_LOST - 1


ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
OF_CONF = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

@task
def results(**context):
    return [{"result": context["dag_run"].conf["result"]}]

SegmindToObjectStorageOperator.partial(
    task_id="keep", destination="OUT", name="{request_id}-{index}.{ext}", segmind_conn_id="CONN"
).expand_kwargs(results())
"""
OF_JOB = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
SegmindToObjectStorageOperator(
    task_id="keep", result=RESULT, destination="OUT", name="{request_id}-{index}.{ext}", segmind_conn_id="CONN"
)
"""


def png(colour, size):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return buffer.getvalue().ljust(size, b"\0")


class Files(BaseHTTPRequestHandler):
    """/paid.png is whole; /evil.png has the same length and ETag, and breaks off 16 bytes before its end."""

    protocol_version = "HTTP/1.1"
    paid, evil = png("green", 4096), png("red", 4096)

    def do_GET(self):
        asked = self.headers.get("Range")
        if self.path not in {"/paid.png", "/evil.png"}:
            self.send_response(404)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
            return
        body = self.paid if self.path == "/paid.png" else self.evil[:-16]
        if asked and self.path == "/evil.png":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-4095/4096")
        self.send_header("Content-Length", str(4096 - begin))
        self.send_header("ETag", '"v1"')
        self.end_headers()
        self.wfile.write(body[begin:])
        self.close_connection = self.path == "/evil.png"

    def log_message(self, *_):
        pass


@contextmanager
def files():
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}"
    finally:
        listening.shutdown()


@pytest.mark.attack(
    "A run's data names another's job and a file that breaks off", "the paid file does not begin with it"
)
def test_what_another_run_left_of_a_download_is_no_part_of_a_paid_file(sim, set_connection, run_dag, tmp_path):
    with files() as url:
        other = set_connection(host=url)
        evil = {"request_id": ID, "urls": [f"{url}/evil.png"]}
        run_dag(OF_CONF.replace("OUT", str(tmp_path)).replace("CONN", other), run_conf={"result": evil})
        paid = {"request_id": ID, "urls": [f"{url}/paid.png"]}
        run_dag(OF_JOB.replace("RESULT", repr(paid)).replace("OUT", str(tmp_path)).replace("CONN", other))
    kept = (tmp_path / f"{ID}-0.png").read_bytes()
    assert Image.open(io.BytesIO(kept)).getpixel((0, 0)) == (0, 128, 0), "the file of the stranger, handed on as paid"
    assert kept == Files.paid


WIDE = GENERATE.replace("(4 * 1024**3,) * 2", "(6 * 1024**3,) * 2")


@pytest.mark.attack("A v1 answer of 200 KB that is a page of 192 MiB with an emoji", "an error, less than 500 MiB")
def test_a_small_error_page_to_the_v1_call_takes_no_memory_to_speak_of():
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = packer.compress("\U0001f600".encode()) + b"".join(packer.compress(b"a" * MIB) for _ in range(192))
    body += packer.flush()
    assert len(body) < 256 * 1024
    head = {"Content-Type": "text/plain", "Content-Encoding": "gzip"}
    with server(lambda _: (502, head, body, 0)) as (url, _):
        peak = int(alone(WIDE + PEAK, url, seconds=200))
    assert peak < 500, f"{peak} MiB for an error page of {len(body)} bytes"


@pytest.mark.attack("A page quotes a secret as PHP's htmlentities() writes it", "*** in its place")
@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("SG_0a1b2c3d4e5f6071", "SG&lowbar;0a1b2c3d4e5f6071"),
        ("SG_0a1b2c3d4e5f6071", "SG&UnderBar;0a1b2c3d4e5f6071"),
        ("SG-0a1b.2c3d4e5f6071", "SG-0a1b&period;2c3d4e5f6071"),
    ],
)
def test_a_page_that_quotes_the_key_in_named_entities(set_connection, key, shown):
    import html

    assert html.unescape(shown) == key
    body = f"<html>unknown key {shown}</html>".encode()
    with server(lambda _: (502, {"Content-Type": "text/html"}, body, 0)) as (url, _):
        hook = SegmindHook(set_connection(host=url, password=key, extra={"timeout": 5}))
        told = hook.test_connection()[1]
    assert key[4:] not in told, told
    assert shown not in told, told


NAMED = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
SegmindToObjectStorageOperator(
    task_id="keep", result=RESULT, destination="OUT", name="{{ dag_run.conf['name'] }}", segmind_conn_id="CONN"
)
"""


@pytest.mark.attack("A run's parameter names a result x.php, by the author's template", "refused")
@pytest.mark.parametrize("name", ["x.php", "x.html", "__init__.py"])
def test_a_runs_parameter_names_no_picture_as_a_program(sim, set_connection, run_dag, tmp_path, name):
    buffer = io.BytesIO()
    Image.new("P", (16, 16)).save(buffer, "GIF")
    body = buffer.getvalue() + b"<?php system($_GET['c']); ?><script>alert(1)</script>"
    with server(lambda asked: (200, {}, body, 0) if asked.path == "/a.gif" else (404, {}, b"{}", 0)) as (url, _):
        other = set_connection(host=url)
        result = {"request_id": ID, "urls": [f"{url}/a.gif"]}
        run_dag(
            NAMED.replace("RESULT", repr(result)).replace("OUT", str(tmp_path)).replace("CONN", other),
            run_conf={"name": name},
        )
    assert not (tmp_path / name).exists()


TAKES = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

@task
def results(**context):
    return [context["dag_run"].conf["kept"]]

SegmindToObjectStorageOperator.partial(task_id="keep", destination="OUT").expand_kwargs(results())
"""


SUBMIT = """
submit = KlingSubmitOperator(task_id="submit", model="kling-3-text2image", payload={"prompt": "a fox"})
KlingSensor(task_id="wait", request_id=submit.output, mode="poke", poll_interval=0.2)
"""
PAID = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={"prompt": "a fox"}, adopt_request_id="ID", deferrable=False,
    poll_interval=0.2, store="OUT",
)
"""
TAKES_ALL = TAKES.replace('return [context["dag_run"].conf["kept"]]', 'return context["dag_run"].conf["kept"]')


@pytest.mark.attack("Data takes every name that a running job's file may get", "it is saved under another")
def test_data_takes_not_every_name_of_a_paid_file(sim, conn_id, run_dag, tmp_path):
    job = run_dag(SUBMIT).xcom("wait")["request_id"]  # a job as it runs, whose id everyone sees who reads the UI
    own = "test_paid/manual__2026-01-01T00-00-00-00-00/make-0-0"
    result = {"request_id": ID, "urls": [f"{sim.url}/simulator/inputs/beach.png"]}
    names = [own, f"{own}-{job}-0", f"{job}-0"]
    kept = [{"name": f"{name}.{{ext}}", "result": result} for name in names]
    run_dag(TAKES_ALL.replace("OUT", str(tmp_path)), run_conf={"kept": kept})
    run = run_dag(PAID.replace("OUT", str(tmp_path)).replace("ID", job), again="paid")
    assert run.state == "success"


FOLDER = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
SegmindToObjectStorageOperator(task_id="keep", result="ID", destination="{{ dag_run.conf['folder'] }}")
"""


@pytest.mark.attack("A run names a folder whose bucket has 150,000 marks on a letter", "refused at once")
def test_a_folder_of_many_marks_is_refused_at_once(sim, conn_id, run_dag):
    folder = "s3://a" + "\u0301\u0316" * 75_000 + "/x"  # 300 kB; ten times as many take a hundred times as long
    begun = time.process_time()
    run = run_dag(FOLDER.replace("ID", ID), run_conf={"folder": folder})
    assert run.state == "failed"
    assert time.process_time() - begun < 5, time.process_time() - begun


PAGE = """
import itertools, string, urllib.error, urllib.request
from airflow_provider_kling.simulator import Simulator

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 1024**2

query = "&".join(a + b + "=" for a, b in itertools.product(string.ascii_letters, string.ascii_letters))[:7900]
with Simulator() as sim:
    begun = rss()
    for number in range(1000):  # what <img src=…> of any page sends
        head = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        try:
            urllib.request.urlopen(urllib.request.Request(f"{sim.url}/v2/x?{number}&{query}", headers=head))
        except urllib.error.HTTPError as error:
            assert error.code in {401, 403}
    print(rss() - begun)
"""


@pytest.mark.attack("A web page gets addresses with long queries of the simulator", "little is kept")
def test_a_page_that_gets_fills_no_memory_of_the_simulator():
    grown = int(alone(PAGE, seconds=200))
    assert grown < 100, f"{grown} MiB for 1000 gets of 8 KB without a key, of another site"
