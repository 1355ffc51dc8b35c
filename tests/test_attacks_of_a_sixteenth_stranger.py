"""What a sixteenth tester, who wrote no fix, broke."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
from PIL import Image
from sqlalchemy import select, update

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
from airflow_provider_kling.ledger.tables import generations, rate_limits, uploads
from airflow_provider_kling.storage.still_there import LONGEST_LOOK, links_answer
from tests.conftest import connection_json

SINGLE = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

KlingGenerateOperator(
    task_id="make", payload=O1Image(prompt="@Image1", image_urls=PICTURES), reuse="completed", retries={retries}, {more}
)
"""
PAIR = """
submit = KlingSubmitOperator(
    task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES), reuse="completed"
)
KlingSensor(task_id="wait", request_id=submit.output, mode="poke", poll_interval=0.1)
"""
VOICE = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

KlingGenerateOperator(
    task_id="make", model="kling-create-voice", payload={"voice_url": PICTURES[0], "name": "ann"}, reuse="completed"
)
"""
LOOK = "KlingSensor(task_id='look', request_id='{{ dag_run.conf[\"id\"] }}'%s)"
POKE = ', mode="poke", poll_interval=0.1'


@contextmanager
def serving(handler):
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def between(sim, monkeypatch):
    """Yield what stands between workers and Segmind; its ``change`` may change answers."""

    class Between(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        change = None

        def log_message(self, *_):
            """Write nothing."""

        def do_GET(self):
            at = urlsplit(sim.url)
            connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            sent = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, body=body, headers=sent)
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
            if Between.change is not None:
                status, content = Between.change(self.command, self.path, status, content)
            self.send_response(status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "connection", "transfer-encoding", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_GET  # noqa: N815 http.server's names

    with serving(Between) as url:
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, host=url))
        yield Between


def without_links(answer):
    """Return an answer in which whatever is COMPLETED has no link."""
    if isinstance(answer, list):
        return [without_links(part) for part in answer]
    if not isinstance(answer, dict):
        return answer
    if str(answer.get("status", "")).upper() == "COMPLETED":
        return {"status": "COMPLETED", "output": "the file follows", "metrics": answer.get("metrics", {})}
    return {name: None if name in {"generation_url", "url"} else without_links(part) for name, part in answer.items()}


def strip(method, path, status, content):
    try:
        return status, json.dumps(without_links(json.loads(content))).encode() if method == "GET" else content
    except ValueError:
        return status, content


def gone(url):
    """Return what answers that a file is gone."""
    name = url.rpartition("/")[2]
    return lambda _, path, *answer: (404, b"gone") if path.endswith(name) else answer


def billed(sim):
    return len(sim.ledger()["jobs"])


def rows(ledger):
    with ledger.reading() as connection:
        return connection.execute(select(generations).order_by(generations.c.id)).all()


def age(ledger, days):
    """Let days pass for what the ledger has."""
    by = timedelta(days=days)
    with ledger.changing() as connection:
        for row in connection.execute(select(uploads)).all():
            aged = update(uploads).where(uploads.c.sha256 == row.sha256)
            connection.execute(aged.values(uploaded_at=row.uploaded_at - by))
        for row in connection.execute(select(generations)).all():
            times = {name: getattr(row, name) for name in ("intended_at", "accepted_at", "ended_at")}
            values = {name: at - by for name, at in times.items() if at is not None}
            connection.execute(update(generations).where(generations.c.id == row.id).values(**values))


@pytest.mark.attack(
    "A run's parameter names the job of another DAG, of which Segmind has forgotten the result",
    "the ledger keeps the result; it is used again, and not paid again",
)
@pytest.mark.parametrize("mode", [POKE, ""])
def test_a_look_at_anothers_job_takes_nothing_from_the_ledger(ledger, sim, conn_id, run_dag, mode):
    made = run_dag(VOICE).xcom("make")
    sim.advance(2 * 3600)
    assert run_dag(LOOK % mode, run_conf={"id": made["request_id"]}).state == "success"
    assert run_dag(VOICE).xcom("make")["output"] == made["output"]
    assert billed(sim) == 1


@pytest.mark.attack("The same, of a picture that was saved", "the saved file is still used")
def test_a_look_at_an_old_job_leaves_its_saved_file_usable(ledger, sim, between, run_dag, tmp_path):
    first = run_dag(SINGLE.format(retries=0, more=f'store="{tmp_path}/a"'))
    sim.advance(8 * 86400)
    between.change = strip
    run_dag(LOOK % POKE, run_conf={"id": first.xcom("make")["request_id"]})
    assert run_dag(SINGLE.format(retries=0, more=f'store="{tmp_path}/b"')).state == "success"
    assert billed(sim) == 1


STARTED = """
import asyncio
import threading
from airflow_provider_kling.triggers.kling import KlingTrigger

class Started(KlingSensor):
    # What Airflow does with start_from_trigger=True: the trigger first, then execute_complete.
    def execute(self, context):
        trigger, got = KlingTrigger(**self._trigger_arguments(self._job(context)), timeout=60), []

        async def first():
            async for event in trigger.run():
                return event.payload

        thread = threading.Thread(target=lambda: got.append(asyncio.run(first())))
        thread.start()
        thread.join()
        return self.execute_complete(context, got[0])

submit = KlingSubmitOperator(
    task_id="submit", model="kling-create-voice", payload={"voice_url": PICTURES[0], "name": "ann"}, reuse="completed"
)
Started(task_id="wait", request_id=submit.output)
"""


@pytest.mark.attack(
    "A sensor starts in the triggerer, for a voice that is used again and that Segmind has forgotten",
    "it hands on the voice; it is not paid again",
)
def test_a_wait_that_starts_in_the_triggerer_hands_on_what_the_ledger_has(ledger, sim, conn_id, run_dag):
    first = run_dag(STARTED).xcom("wait")["output"]
    sim.advance(2 * 3600)
    assert [run_dag(STARTED).xcom("wait")["output"] for _ in range(2)] == [first] * 2
    assert billed(sim) == 1


UPLOADED = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator

KlingGenerateOperator(task_id="make", payload=O1Image(prompt="@Image1 {day}", image_urls=[{file!r}]), retries=0)
"""


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "mug.png"
    Image.new("RGB", (640, 640), "teal").save(path)
    return str(path)


@pytest.mark.attack(
    "A file is used every five days; Segmind deletes an upload after a week", "it is uploaded anew; no task fails"
)
def test_an_address_that_is_used_again_grows_no_younger(ledger, sim, between, run_dag, picture):
    for day in (0, 5, 10):
        if day == 10:
            between.change = gone(sim.uploads()[0]["url"])
        assert run_dag(UPLOADED.format(day=day, file=picture)).state == "success"
        age(ledger, 5)
    assert len(sim.uploads()) == 2


@pytest.mark.attack(
    "A run's parameter names an old job, whose upload is deleted by now", "the newer address of the file stays"
)
def test_an_old_job_that_is_looked_at_brings_no_dead_address_back(ledger, sim, between, run_dag, picture):
    old = run_dag(UPLOADED.format(day=0, file=picture)).xcom("make")["request_id"]
    age(ledger, 8)
    between.change = gone(sim.uploads()[0]["url"])
    assert run_dag(UPLOADED.format(day=8, file=picture)).state == "success"
    run_dag(LOOK % POKE, run_conf={"id": old})
    assert run_dag(UPLOADED.format(day=9, file=picture)).state == "success"


@pytest.mark.attack(
    "An upload vanishes early, so that a job FAILED", "the next task uploads the file again, and no other task fails"
)
def test_the_address_of_a_job_that_failed_is_used_no_more(ledger, sim, conn_id, run_dag, picture):
    assert run_dag(UPLOADED.format(day=0, file=picture)).state == "success"
    sim.order_fault("fail_job", model="kling-o1")
    states = [run_dag(UPLOADED.format(day=day, file=picture)).state for day in (1, 2)]
    assert (states, len(sim.uploads())) == (["failed", "success"], 2)


@pytest.mark.attack(
    "Segmind, or a proxy, answers COMPLETED without a link for a moment", "the next task has the file; no task is stuck"
)
def test_an_answer_without_a_link_stops_no_other_task(ledger, sim, between, run_dag, tmp_path):
    between.change = strip
    run_dag(PAIR)
    between.change = None
    assert run_dag(SINGLE.format(retries=0, more=f'store="{tmp_path}/b"')).state == "success"
    assert billed(sim) == 1


@pytest.mark.attack(
    "The link of an old result leads to a server that never answers", "after a week that is no result any more"
)
def test_an_old_link_that_never_answers_is_no_result(ledger, sim, between, run_dag, tmp_path):
    run_dag(PAIR)
    age(ledger, 30)
    between.change = lambda _, path, *answer: (503, b"") if path.startswith("/generations/") else answer
    waits = SINGLE.format(retries=0, more="wait_for_completion=False")
    assert run_dag(waits).state == "success"
    assert billed(sim) == 2


@pytest.mark.attack("A film is at the link of a picture", "that is no result; it is made again")
def test_another_kind_of_file_is_no_result(ledger, sim, between, run_dag, tmp_path):
    run_dag(PAIR)
    film = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 4096
    first = sim.ledger()["jobs"][0]["url"].rpartition("/")[2]
    between.change = lambda _, path, *answer: (200, film) if path.endswith(first) else answer
    assert run_dag(SINGLE.format(retries=0, more=f'store="{tmp_path}/b"')).state == "success"
    assert billed(sim) == 2


@pytest.mark.attack(
    "A file is deleted just after it was looked at, and is gone for good", "a clear of the task makes it again"
)
def test_a_file_that_is_gone_after_the_look_is_made_again_by_a_clear(ledger, sim, between, run_dag, tmp_path):
    run_dag(PAIR)
    first, asked = sim.ledger()["jobs"][0]["url"].rpartition("/")[2], []

    def change(_, path, *answer):
        asked.extend([path] if path.endswith(first) else [])
        return (404, b"") if path.endswith(first) and len(asked) > 1 else answer

    between.change = change
    text = SINGLE.format(retries=0, more=f'store="{tmp_path}/b"')
    assert run_dag(text, again="late").state == "failed"
    sim.advance(8 * 86400)
    age(ledger, 8)
    assert run_dag(text, again="late").state == "success"
    assert billed(sim) == 2


class Slow(BaseHTTPRequestHandler):
    """Leads on and on, and takes its time."""

    def log_message(self, *_):
        """Write nothing."""

    def do_GET(self):
        self.wfile.write(b"HTTP/1.1 302 Found\r\n")
        for _ in range(2):
            time.sleep(11)
            self.wfile.write(b"X-Wait: 1\r\n")
            self.wfile.flush()
        here = int(self.path.strip("/"))
        self.wfile.write(b"Location: /%d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (here + 1))


@pytest.mark.attack("A result's link leads on through slow redirects", "a look at it lasts a minute at most")
def test_a_look_lasts_no_longer_than_all_may(sim, airflow_db, monkeypatch):
    with serving(Slow) as url:
        monkeypatch.setenv("AIRFLOW_CONN_SLOW", connection_json(sim, host=url))
        begun = time.monotonic()
        assert links_answer([f"{url}/1"], SegmindHook("slow"), "image", is_old=False)
        assert time.monotonic() - begun < LONGEST_LOOK + 10


@pytest.mark.attack("Waits of one triggerer come and go", "it counts as one among those that share the limit")
def test_one_triggerer_counts_as_one(ledger, sim, conn_id, airflow_db):
    from airflow_provider_kling.segmind import protocol

    async def waits():
        for _ in range(6):
            async with SegmindAsyncHook(conn_id) as hook:
                await hook.pool.send(protocol.credit_balance())

    asyncio.run(waits())
    with ledger.reading() as connection:
        (row,) = connection.execute(select(rate_limits)).all()
    assert len(json.loads(row.holders)) == 1
