"""What a second tester, who had never seen the code, broke in an hour: each fails without its fix."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindResponseError
from tests.hostile import hostile

KEY = "sg_0123456789abcdef"
MAKE = 'KlingGenerateOperator(task_id="make", model="kling-3-text2image", payload={"prompt": "x"})'
IMPORTS = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.storage.store import Store
from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator
"""


def alone(code, *arguments, seconds=60, env=None):
    """Run code in a process of its own; return the last line that it printed, or None where it had to be killed."""
    try:
        told = subprocess.run(  # noqa: S603 own code
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired:
        return None
    assert told.returncode == 0, told.stderr[-3000:]
    return told.stdout.strip().splitlines()[-1]


MATCHED = """
import sys
from airflow_provider_kling.uploads.source_files import expanded
print([name.rpartition("/")[2] for name in expanded(sys.argv[1])])
"""


@pytest.mark.attack("A pattern of many stars, or a long name where an author's pattern looks", "at once")
@pytest.mark.parametrize("pattern", ["*?" * 14 + "!", "**/" * 600 + "x", "**/*/" * 300 + "x", "*_*_*_*_*_*.png"])
def test_no_pattern_holds_a_worker(tmp_path, pattern):
    names = ["IMG_20261129_a_quite_ordinary_product_name.png", "_" * 240 + ".jpg"]
    for name in names:
        (tmp_path / name).touch()
    assert alone(MATCHED, f"{tmp_path}/{pattern}") == repr([name for name in names[:1] if pattern.endswith(".png")])


PEAK = r"""
import re
from pathlib import Path
print(int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""
LOOK = """
from datetime import UTC, datetime, timedelta
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.segmind.errors import SegmindResponseError
try:
    SegmindHook("segmind_huge").find_requests(model="kling-o1", since=datetime.now(UTC) - timedelta(minutes=5))
except SegmindResponseError as error:
    assert "more than 64 MiB" in str(error)
"""


@pytest.mark.attack("A history of a hundred pages, each just below the limit of one", "it is given up")
def test_a_look_in_the_history_takes_no_memory_to_speak_of():
    created = datetime.now(UTC).isoformat()
    # One emoji makes Python keep a text with four bytes for each sign.
    text = "\U0001f98a" + "x" * 80_000

    def page(asked):
        number = int(re.search(rb"[?&]page=(\d+)", asked)[1])
        rows = [
            {"request_id": f"{number}-{place}", "model_name": "kling-o1", "model_created": created, "any": text}
            for place in range(100)
        ]
        body = json.dumps({"data": rows}, ensure_ascii=False).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    with hostile(page) as server:
        extra = {"history_host": server.url, "requests_per_minute": 60_000}
        connection = {"conn_type": "segmind", "host": server.url, "password": KEY, "extra": extra}
        told = alone(LOOK + PEAK, seconds=200, env={"AIRFLOW_CONN_SEGMIND_HUGE": json.dumps(connection)})
    assert int(told) < 500  # MiB


OVER = """
@task
def jobs():
    return [{"prompt": "a fox", **ADDED}]

@task.kling(model="kling-3-text2image", retries=2, timeout=1, poll_interval=0.1, deferrable=False)
def picture(prompt, **context):
    return {"prompt": prompt}

picture.expand_kwargs(jobs())
"""


@pytest.mark.attack("What a function is mapped over is named as the task's state", "one bill")
@pytest.mark.parametrize("added", [{"task_state_store": None}, {"loop": "x"}], ids=["state", "loop"])
def test_data_replaces_nothing_of_the_context(sim, conn_id, run_dag, added):
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=30, status=200, body={"status": "PROCESSING"})
    run_dag(OVER.replace("ADDED", repr(added)))
    assert len(sim.ledger()["jobs"]) == 1


@pytest.mark.attack("A gateway's page quotes the key as HTML, or as UTF-16", "*** in its place")
@pytest.mark.parametrize(
    ("secret", "quoted"),
    [(secret, html.escape(secret).encode()) for secret in ("pass&word1", 'my"secret"1', "<angle>123", "it's_secret")]
    + [(KEY, KEY.encode("utf-16-le"))],
)
def test_a_secret_in_a_page_is_hidden(monkeypatch, seen, secret, quoted):
    body = b"<html><body>Denied: x-api-key " + quoted
    with hostile(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as server:
        connection = {"conn_type": "segmind", "host": server.url, "password": secret}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_HTML", json.dumps(connection))
        with pytest.raises(SegmindResponseError) as raised:
            SegmindHook("segmind_html").get_credits()
    told = f"{raised.value} {raised.value.body}"
    seen(told)
    assert told.count("***") == 2
    assert quoted.decode(errors="replace") not in told
    assert " ".join(secret) not in told


class _Forgetful(BaseHTTPRequestHandler):
    """Accepts each POST, loses the first reply, and shows the jobs in the history with their inputs told otherwise."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append((self.path.rpartition("/")[2], body, datetime.now(UTC).isoformat()))
        if len(self.server.posts) == 1:
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self._tell({"request_id": f"2c7f59ea-13f1-402c-9353-{len(self.server.posts):012}"})

    def do_GET(self):
        rows = [
            {
                "request_id": f"2c7f59ea-13f1-402c-9353-{number:012}",
                "model_name": model,
                "model_created": created,
                "model_status": "COMPLETED",
                "request_body": self.server.told_as(body),
            }
            for number, (model, body, created) in enumerate(self.server.posts, 1)
        ]
        self._tell({"data": [{**row, **self.server.besides} for row in rows]})

    def _tell(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def forgetful(told_as, **besides):
    """Yield the address of a Segmind that tells inputs as that function does, and other parts of a row as given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forgetful)
    server.posts, server.told_as, server.besides = [], told_as, besides
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.posts
    finally:
        server.shutdown()
        server.server_close()


SUBMIT = """
KlingSubmitOperator(
    task_id="submit", model="kling-o1", orphan_grace=1, history_timeout=2, retries=1, deferrable=False,
    payload={
        "prompt": "@Image1, {{ dag_run.conf['prompt'] }}",
        "image_urls": ["https://example.com/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.png"],
    },
)
"""


@pytest.mark.attack("The history tells a lost job's inputs in another way", "no second bill")
@pytest.mark.parametrize(
    ("prompt", "told_as"),
    [
        (f"a fox with {KEY}", lambda body: body),
        ("a fox", lambda body: {**body, "image_urls": json.dumps(body["image_urls"])[:50]}),
        ("a fox", lambda body: {**body, "image_urls": str(body["image_urls"])}),
        ("a fox", lambda body: {**body, "image_urls": ", ".join(body["image_urls"])}),
        ("一只狐狸", lambda body: {**body, "prompt": body["prompt"].encode("latin-1", "replace").decode()}),
    ],
    ids=["the prompt holds the key", "list as cut JSON", "list as Python text", "list as text", "latin-1"],
)
def test_a_row_that_is_told_otherwise_pays_nothing_twice(run_dag, monkeypatch, prompt, told_as):
    with forgetful(told_as) as (url, posts):
        extra = {"history_host": url, "requests_per_minute": 60_000}
        connection = {"conn_type": "segmind", "host": url, "password": KEY, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(connection))
        run_dag(SUBMIT, run_conf={"prompt": prompt})
    assert len(posts) == 1


NAMED = """
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "a fox"}}, retries=2,
    store=Store("{out}", name="{{{{ dag_run.conf['title'] }}}}.{{ext}}"),
)
"""


@pytest.mark.attack("A run names a result as long as the disk allows, and the name is taken meanwhile", "it is saved")
def test_a_long_name_costs_no_paid_file(sim, conn_id, run_dag, tmp_path):
    title = "t" * 240

    def somebody():
        while not sim.ledger()["jobs"]:
            time.sleep(0.005)
        (tmp_path / f"{title}.json").write_text('{"somebody": "else"}')

    thread = threading.Thread(target=somebody)
    thread.start()
    run = run_dag(IMPORTS + NAMED.format(out=tmp_path), run_conf={"title": title})
    thread.join()
    assert run.state == "success"
    assert len(sim.ledger()["jobs"]) == 1
    assert len([file for file in tmp_path.iterdir() if file.suffix == ".png"]) == 1


@pytest.mark.attack("A run names a result longer than the disk allows", "refused before anything is paid")
def test_a_name_that_is_too_long_is_refused_before_the_job_is_paid(sim, conn_id, run_dag, tmp_path, capfd):
    run = run_dag(IMPORTS + NAMED.format(out=tmp_path), run_conf={"title": "t" * 251})
    assert run.state == "failed"
    assert sim.ledger()["jobs"] == []
    assert "has 251 bytes, at most 250 are allowed" in capfd.readouterr().out


MANY = """
import os, resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))  # a process has 1024 by default; here fewer, to be quick
print(runpy.run_path(sys.argv[1])["dag"].test().state, flush=True)
os._exit(0)  # at its end Airflow 3.4 prints that it could not close a connection to the database
"""


@pytest.mark.attack("Somebody puts hundreds of pictures into a folder that is uploaded", "they are uploaded")
def test_a_batch_of_many_files_needs_few_handles(sim, conn_id, airflow_db, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    for number in range(1, 300):
        (tmp_path / f"{number}.png").write_bytes((tmp_path / "0.png").read_bytes() + bytes([number % 3]))
    file = Path(airflow_db, "dags", f"{tmp_path.name}.py")
    file.write_text(f"""
from airflow.providers.common.compat.sdk import DAG
{IMPORTS}
with DAG("many_{tmp_path.name}", schedule=None) as dag:
    ObjectStorageToSegmindOperator(task_id="upload", source="{tmp_path}/*.png")
""")
    try:
        assert alone(MANY, file, seconds=120) == "success"
    finally:
        file.unlink()
    assert len(sim.uploads()) == 4


@pytest.mark.attack("Sparse files of 199 MB in a folder that is uploaded", "512 MiB of copies at once")
def test_a_batch_of_large_files_takes_little_room(sim, conn_id, run_dag, tmp_path):
    Image.new("RGB", (320, 320)).save(tmp_path / "a.png")
    for number in range(6):
        with (tmp_path / f"{number}.png").open("wb") as file:
            file.write((tmp_path / "a.png").read_bytes())
            file.truncate(199 * 10**6)
    (tmp_path / "z.png").write_bytes(b"no picture")
    fullest, over = [0], threading.Event()

    def watch():
        while not over.wait(0.05):
            total = 0
            for handle in Path("/proc/self/fd").iterdir():
                try:
                    total += handle.stat().st_blocks * 512 if "(deleted)" in str(handle.readlink()) else 0
                except OSError:
                    continue
            fullest[0] = max(fullest[0], total)

    thread = threading.Thread(target=watch)
    thread.start()
    run = run_dag(IMPORTS + f'ObjectStorageToSegmindOperator(task_id="upload", source="{tmp_path}/*.png")')
    over.set()
    thread.join()
    assert run.state == "failed"
    assert fullest[0] < (512 + 200) * 1024**2


FORGED = "[2026-11-29T23:00:00.000+0000] {taskinstance.py:341} INFO - Marking task as SUCCESS, refund issued"
OVER_JOBS = """
@task
def jobs(**context):
    return [context["dag_run"].conf["job"]]

KlingGenerateOperator.partial(task_id="make", model={model!r}).expand(payload=jobs())
"""
#: By whom: Segmind, in a FAILED job's reason and in an output; who starts a run, in a parameter's name.
WAYS = {
    "the reason of a failed job": MAKE,
    "an output without a file": MAKE,
    "a parameter's name": OVER_JOBS.format(model="kling-3-text2image"),
    "a parameter's name that is refused": OVER_JOBS.format(model="kling-o1"),
}


@pytest.mark.attack("A text from outside holds a line of a log", "it begins no line there")
@pytest.mark.parametrize("way", WAYS)
def test_no_text_from_outside_begins_a_line_of_the_log(sim, conn_id, run_dag, capfd, way):
    if way == "the reason of a failed job":
        sim.order_fault("fail_job", error=f"no\n{FORGED}")
    if way == "an output without a file":
        body = {"status": "COMPLETED", "output": f"done\n{FORGED}"}
        sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)
        rows = {"data": [{"request_id": "", "model_name": "kling-3-text2image", "model_status": "COMPLETED"}]}
        sim.order_fault("respond", path="/inference-request/*", times=99, status=200, body=rows)
    job = {"prompt": "x", **({f"x\n{FORGED}\n": 1} if "name" in way else {})}
    run_dag(IMPORTS + WAYS[way], run_conf={"job": job})
    told = capfd.readouterr()
    assert FORGED in told.out + told.err
    assert [line for line in (told.out + told.err).splitlines() if line.startswith(FORGED)] == []


NESTED = """
import io, sys
from airflow_provider_kling.storage.sidecar import read_document
print(read_document(io.BytesIO(sys.argv[1].encode())).request_id)
"""
SIDECAR = {
    "request_id": "a",
    "index": 0,
    "file": "f.png",
    "size": 1,
    "sha256": "",
    "type": "image/png",
    "dag_id": "d",
    "run_id": "r",
    "task_id": "t",
    "map_index": -1,
    "stored_at": "2026-01-01T00:00:00Z",
}


@pytest.mark.attack("A description beside an input tells of forty jobs within each other", "it is read at once")
@pytest.mark.parametrize("facts", [{"request_id": "a"}, SIDECAR], ids=["jobs", "files"])
def test_a_nested_description_holds_no_worker(facts):
    made = facts
    for _ in range(40):
        made = {**facts, "inputs": [{"field": "x", "url": "https://a.b/c", "made": made}]}
    assert alone(NESTED, json.dumps({**SIDECAR, "inputs": made["inputs"]})) == "a"


LITERAL = """
from airflow_provider_kling.storage.finished_job import finished
from airflow_provider_kling.segmind.errors import SegmindError
text = "{'request_id': 'a', 'urls': ['https://a.b/c'], 'x': (" + "1," * 4_000_000 + ")}"
try:
    finished(text, None)
except SegmindError:
    pass
"""


@pytest.mark.attack("An XCom holds a result as 8 MB of Python", "refused")
def test_a_result_in_an_xcom_takes_no_memory_to_speak_of():
    assert int(alone(LITERAL + PEAK, seconds=120)) < 500  # MiB


@pytest.mark.attack("A proxy's password is a word of the links to results", "the paid file is saved")
def test_a_password_that_is_a_word_breaks_no_link(sim, conn_id, run_dag, tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://me:generations@127.0.0.1:9")
    run = run_dag(
        IMPORTS
        + 'KlingGenerateOperator(task_id="make", model="kling-3-text2image", payload={"prompt": "x"}, '
        + f'store="{tmp_path}")'
    )
    assert run.state == "success"
