"""What an eleventh tester, who wrote no fix, broke, and some of what held."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.hooks.segmind import SegmindAsyncHook, SegmindHook
from airflow_provider_kling.polling.job_wait import JobWait
from airflow_provider_kling.polling.wait import GiveUp
from airflow_provider_kling.segmind.errors import SegmindError, SegmindPermissionError, SegmindRequestNotFoundError
from airflow_provider_kling.sensors.kling import KlingSensor
from airflow_provider_kling.storage.download_hosts import Hosts
from airflow_provider_kling.storage.download_request import DownloadRequest
from tests.hostile import hostile
from tests.test_attacks_of_a_second_stranger import IMPORTS, alone, forgetful
from tests.test_attacks_of_a_tenth_stranger import IN_TURN
from tests.test_attacks_of_an_eighth_stranger import ID, MODEL, generate, jobs

TAIL = b"\r\nContent-Length: 2\r\n\r\n{}"
HISTORY = "/inference-request/request-history*"
GONE = {"method": "GET", "path": "/v2/requests/*", "times": 999, "status": 404, "body": {"error": "not found"}}


def rows(*several):
    base = {"request_id": "", "model_name": MODEL}
    return {"data": [{**base, **one} for one in several]}


@pytest.mark.attack("COMPLETED by its status, unknown by its result and history", "a reschedule poll ends")
def test_a_poke_in_reschedule_mode_ends(sim, conn_id):
    sim.order_fault(
        "respond", method="GET", path=f"/v2/requests/{ID}/status", times=9999, status=200, body={"status": "COMPLETED"}
    )
    sim.order_fault(
        "respond", method="GET", path=f"/v2/requests/{ID}", times=9999, status=404, body={"error": "not found"}
    )
    sim.order_fault("respond", method="GET", path=HISTORY, times=9999, status=404, body={"error": "not found"})
    sensor = KlingSensor(task_id="wait", request_id=ID, mode="reschedule", poll_interval=1, timeout=40)
    begun = time.monotonic()
    try:
        sensor.poke({})
        told = "returned"
    except SegmindError as error:
        told = type(error).__name__
    took = time.monotonic() - begun
    assert took < 20, (took, told)


@pytest.mark.attack("One output of an old job ended in another state", "the other is delivered")
@pytest.mark.parametrize("state", ["ERROR", "CANCELLED", "TIMEOUT"])
def test_an_output_that_ended_otherwise_loses_not_the_other(sim, conn_id, run_dag, state):
    link = f"{sim.url}/simulator/inputs/robot.png"
    told = rows(
        {"model_status": "COMPLETED", "generation_url": link, "credits_deduction": 0.03},
        {"model_status": state, "generation_url": None},
    )
    sim.order_fault("respond", **GONE)
    sim.order_fault("respond", method="GET", path=HISTORY, times=999, status=200, body=told)
    run = run_dag(generate("timeout=8"))
    assert run.state == "success"


@pytest.mark.attack("A running job's row has an empty list of files", "it is waited for")
@pytest.mark.parametrize("url", [[], False, 0, {}])
def test_a_row_with_an_empty_list_of_files_is_not_done(sim, conn_id, run_dag, url):
    link = f"{sim.url}/simulator/inputs/robot.png"
    told = rows({"model_status": "PENDING", "generation_url": url})
    done = rows({"model_status": "COMPLETED", "generation_url": link})
    sim.order_fault("respond", **GONE)
    sim.order_fault("respond", method="GET", path=HISTORY, times=8, status=200, body=told)
    sim.order_fault("respond", method="GET", path=HISTORY, times=999, status=200, body=done)
    run = run_dag(generate())
    assert run.xcom("make")["url"]


@pytest.mark.attack("A gateway refuses one accepted job", "the budget counts it")
@pytest.mark.parametrize(
    ("status", "body"), [(403, {"message": "Forbidden"}), (400, "<html>"), (424, {"message": "x"})]
)
def test_a_budget_counts_what_may_be_accepted(sim, conn_id, run_dag, status, body):
    sim.order_fault("replace_after", method="POST", path="/v2/kling-*", times=1, status=status, body=body)
    run_dag(IN_TURN.replace("COUNT", "4").replace("EXTRA", 'trigger_rule="all_done",'))
    assert sim.ledger()["billed"] <= 0.08


@pytest.mark.attack("A proxy that takes a token as its user quotes it", "hidden")
@pytest.mark.parametrize("how", ["worker", "triggerer"])
def test_a_proxys_token_is_hidden(set_connection, monkeypatch, how):
    token = "9f86d081884c7d659a2feaa0c55ad015"

    def page(asked):
        lines = asked.decode("latin-1").splitlines()
        told = next((line for line in lines if line.lower().startswith("proxy-authorization")), "none")
        body = f"Who are you? You said: {told}".encode("latin-1")
        return b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def ask():
        async with SegmindAsyncHook(conn_id) as hook:
            await hook.get_credits()

    with hostile(page) as proxy:
        monkeypatch.setenv("http_proxy", f"http://{token}:@127.0.0.1:{proxy.port}")
        conn_id = set_connection(host="http://segmind.example", extra={"allow_http": True, "timeout": 3})
        if how == "worker":
            told = SegmindHook(conn_id).test_connection()[1]
        else:
            with pytest.raises(SegmindError) as raised:
                asyncio.run(ask())
            told = str(raised.value)
    assert base64.b64encode(f"{token}:".encode()).decode() not in told


@pytest.mark.attack("A proxy's password holds a slash", "the log keeps its single characters")
@pytest.mark.parametrize("password", ["Zx9kq7w3/1", "Zx9kq7w3/12"])
def test_a_proxys_password_masks_no_single_characters(set_connection, monkeypatch, password):
    monkeypatch.setenv("http_proxy", f"http://user:{password}@127.0.0.1:9")
    conn_id = set_connection(extra={"timeout": 1})
    SegmindHook(conn_id).test_connection()
    try:
        from airflow.sdk.log import redact
    except ImportError:
        try:
            from airflow.sdk.execution_time.secrets_masker import redact
        except ImportError:
            from airflow.utils.log.secrets_masker import redact
    text = "Request 2c7f59ea-13f1-402c-9353-915a2b5a2124 costs 12 Men 3132 https://a.example/12.mp4"
    assert redact(text) == text


def told_by(how, conn_id):
    async def ask():
        async with SegmindAsyncHook(conn_id) as hook:
            await hook.get_credits()

    if how == "worker":
        return SegmindHook(conn_id).test_connection()[1]
    with pytest.raises(SegmindError) as raised:
        asyncio.run(ask())
    return str(raised.value)


KEY = "SG_0a1b2c3d4e5f6071"


@pytest.mark.attack("A gateway quotes the key where a library cuts it", "no half of it")
@pytest.mark.parametrize("how", ["worker", "triggerer"])
@pytest.mark.parametrize(
    "place", ["encoding", "long header", "long status", "split", "split status", "chunk", "long name"]
)
def test_no_half_of_the_key_is_told(set_connection, how, place):
    key = KEY.encode()
    parts = {
        "encoding": [b"HTTP/1.1 200 OK\r\nContent-Encoding: x-echo=aaaaaaaaaa" + key + TAIL],
        "long header": [b"HTTP/1.1 200 OK\r\nX-Echo: " + b"a" * 87 + key + b"b" * 9000 + TAIL],
        "long name": [b"HTTP/1.1 200 OK\r\nX-Echo" + b"a" * 80 + key + b"b" * 9000 + b": a" + TAIL],
        "long status": [b"HTTP/1.1 200 " + b"a" * 87 + key + b"b" * 90000 + TAIL],
        "split": [b"HTTP/1.1 200 OK\r\nX-Echo: " + key[:6], key[6:] + b"\x00" + TAIL],
        "split status": [b"HTTP/1.1 200 " + key[:6], key[6:] + b"\x00" + TAIL],
        "chunk": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", key[:6], key[6:] + b"zz\r\n{}\r\n"],
    }[place]
    with hostile(*parts, every=0.3) as server:
        conn_id = set_connection(host=server.url, password=KEY, extra={"timeout": 5})
        told = told_by(how, conn_id)
    low = told.lower()
    pieces = {KEY.lower()[i : i + 8] for i in range(len(KEY) - 7)}
    assert not [piece for piece in pieces if piece in low], told[:500]


@pytest.mark.attack("A new job is unknown once, and its row has no real link yet", "it is waited for")
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
@pytest.mark.parametrize("url", [[], False, "None", "null", "pending", "[]"])
def test_one_404_and_a_row_with_no_real_link_yet_lose_no_file(sim, conn_id, run_dag, url, deferrable):
    told = rows({"model_status": "PENDING", "generation_url": url})
    sim.order_fault("respond", **{**GONE, "times": 2 if deferrable else 1})
    sim.order_fault("respond", method="GET", path=HISTORY, times=1, status=200, body=told)
    run = run_dag(generate(deferrable=deferrable))
    assert run.xcom("make")["url"]


@pytest.mark.attack("An answer comes twice, at once, on a worker's connection", "the next question has its own")
def test_a_worker_takes_no_second_copy(set_connection):
    def answer(status):
        body = json.dumps({"status": status}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection, first):
            with connection, suppress(OSError):
                while connection.recv(65536):
                    connection.sendall(answer("FAILED") * 2 if first else answer("PROCESSING"))
                    first = False

        def accept():
            first = True
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=serve, args=(connection, first), daemon=True).start()
                    first = False

        threading.Thread(target=accept, daemon=True).start()
        hook = SegmindHook(set_connection(host=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        assert hook.get_status(ID).status == "FAILED"
        assert hook.get_status(ID).status == "PROCESSING"


LOST = """
KlingSubmitOperator(
    task_id="submit", model="kling-2.6", orphan_grace=1, history_timeout=2, retries=1, deferrable=False,
    payload={"prompt": "{{ dag_run.conf['prompt'] }}", "cfg_scale": 0.333},
)
"""


def _prompt(change):
    return lambda body: {**body, "prompt": change(body["prompt"])}


@pytest.mark.attack("The history tells a lost job's inputs escaped, as ASCII, or rounded", "no second bill")
@pytest.mark.parametrize(
    ("prompt", "told_as"),
    [
        ("一只狐狸 in the wood", _prompt(lambda text: json.dumps(text)[1:-1])),
        ("一只狐狸 in the wood", _prompt(lambda text: text.encode("ascii", "backslashreplace").decode())),
        ("first a fox\nthen an owl", _prompt(lambda text: json.dumps(text)[1:-1])),
        ("first a fox\nthen an owl", _prompt(lambda text: text.replace("\n", "<br>"))),
        ("un café très noir près de la forêt", _prompt(lambda text: text.encode("ascii", "ignore").decode())),
        ("a fox", lambda body: {**body, "cfg_scale": 0.33}),
        ("a fox", lambda body: body),
    ],
    ids=["json", "ascii", "json newline", "br", "ignore", "two digits", "control"],
)
def test_a_row_that_is_written_otherwise_pays_nothing_twice(run_dag, monkeypatch, prompt, told_as):
    with forgetful(told_as) as (url, posts):
        extra = {"history_host": url, "requests_per_minute": 60_000}
        connection = {"conn_type": "segmind", "host": url, "password": "sg_0123456789abcdef", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(connection))
        run_dag(LOST, run_conf={"prompt": prompt})
    assert len(posts) == 1


@pytest.mark.attack("A gateway quotes the key where a library cuts it", "not all but one sign of it")
@pytest.mark.parametrize("place", ["encoding", "long header"])
def test_not_all_but_one_sign_of_the_key_is_told(set_connection, place):
    key = KEY.encode()
    almost = len(KEY) - 1
    parts = {
        "encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b"a" * (30 - almost) + key + TAIL,
        # as a gateway that echoes the headers that it was sent
        "long header": b"HTTP/1.1 200 OK\r\nX-Echo: " + b"b" * (100 - almost) + key + b" cookie=" + b"b" * 9000 + TAIL,
    }[place]
    with hostile(parts) as server:
        told = told_by("triggerer", set_connection(host=server.url, password=KEY, extra={"timeout": 5}))
    assert KEY[:-1].lower() not in told.lower()


@pytest.mark.attack("A gateway refuses each accepted job of a mapped task once", "the budget holds")
@pytest.mark.parametrize(
    ("status", "body"), [(403, {"message": "Forbidden"}), (503, {"message": "Service Unavailable"}), (502, "")]
)
def test_a_budget_counts_what_mapped_tasks_may_have(sim, conn_id, run_dag, status, body):
    sim.order_fault("replace_after", method="POST", path="/v2/kling-*", times=99, status=status, body=body)
    code = (
        IMPORTS
        + f"""
from airflow_provider_kling.budget import KlingBudget

KlingSubmitOperator.partial(
    task_id="make", model="{MODEL}", retries=0, deferrable=False, budget=KlingBudget(max_cost_per_dag_run=0.08),
    max_active_tis_per_dag=1, history_timeout=1,
).expand(payload=[{{"prompt": f"a fox {{number}}"}} for number in range(6)])
"""
    )
    run_dag(code)
    assert jobs(sim) <= 2


@pytest.mark.attack("A history that could not be read says so beside an empty list", "it is not an empty one")
@pytest.mark.parametrize(
    "body",
    [
        {"error": "database timeout", "data": []},
        {"status": "error", "message": "upstream timed out", "data": []},
        {"success": False, "data": []},
        {"data": [], "errors": [{"message": "timeout"}]},
        {"data": [None]},
    ],
)
def test_an_error_beside_an_empty_list_is_no_empty_history(sim, conn_id, run_dag, body):
    sim.order_fault("reset_after", method="POST", path="/v2/kling-*")
    sim.order_fault("respond", method="GET", path="/inference-request/request-history", times=3, status=200, body=body)
    run_dag(generate("orphan_grace=0, history_timeout=1"))
    assert jobs(sim) == 1


WAITS = """
import asyncio, json, os, resource, sys
from datetime import UTC, datetime, timedelta
from airflow_provider_kling.triggers.kling import KlingTrigger
connection = {"conn_type": "segmind", "host": sys.argv[1], "password": "sg_0123456789abcdef",
              "extra": {"timeout": 30, "requests_per_minute": 60000}}
os.environ["AIRFLOW_CONN_SEGMIND_X"] = json.dumps(connection)
def now_rss():
    return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024
async def one(number):
    deadline = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    trigger = KlingTrigger(f"2c7f59ea-13f1-402c-9353-{number:012}", deadline=deadline, segmind_conn_id="segmind_x",
                           poll_interval=600.0)
    async for _ in trigger.run():
        break
async def main():
    warm = asyncio.create_task(one(999))
    await asyncio.sleep(4)
    before = now_rss()
    tasks = [asyncio.create_task(one(number)) for number in range(int(sys.argv[2]))]
    await asyncio.sleep(float(sys.argv[3]))
    print("MiB", now_rss() - before, sum(not task.done() for task in tasks))
    for task in [warm, *tasks]:
        task.cancel()
    await asyncio.gather(warm, *tasks, return_exceptions=True)
asyncio.run(main())
"""


@pytest.mark.attack("A gateway answers all waits with a large COMPLETED without a file", "waits hold little memory")
@pytest.mark.parametrize(("status", "count"), [("COMPLETED", 40)])
def test_waits_for_a_file_hold_little_memory(status, count):
    body = b'{"status": "%s", "output": [' % status.encode() + b",".join([b"{}"] * 85_000) + b"]}"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
    with hostile(answer) as server:
        told = alone(WAITS, server.url, count, 25 + count / 2, seconds=150)
    assert int(told.split()[1]) < 100, told


@pytest.mark.attack("An accepted job is refused, and the history fails in a 200 once", "one bill")
@pytest.mark.parametrize("body", [{"error": "database timeout", "data": []}, {"error": "database timeout"}])
def test_one_failed_history_after_a_refusal_pays_nothing_twice(sim, conn_id, run_dag, body):
    sim.order_fault(
        "replace_after", method="POST", path="/v2/kling-*", times=1, status=429, body={"error": "Too many requests"}
    )
    sim.order_fault("respond", method="GET", path="/inference-request/request-history", times=1, status=200, body=body)
    run_dag(generate())
    assert jobs(sim) == 1


ROTATED = """
import os
def change(context, result=None):
    if context["ti"].try_number == 1:
        name = "AIRFLOW_CONN_SEGMIND_DEFAULT"
        os.environ[name] = os.environ[name].replace("127.0.0.1", "localhost")  # another host and key is another digest
        raise RuntimeError("the worker dies")

KlingSubmitOperator(
    task_id="submit", model="MODEL", payload={"prompt": "a fox"}, retries=1, orphan_grace=0, deferrable=False,
    post_execute=change,
)
"""


@pytest.mark.attack("The key is rotated, and a gateway answers 404 once for the history", "one bill")
@pytest.mark.parametrize(
    ("status", "body", "times"),
    [
        (404, "<html>not found</html>", 2),
        (404, {"error": "not found"}, 2),
        (200, {"data": []}, 1),
        (200, {"error": "x", "rows": []}, 1),
        (502, "", 1),
        (None, None, 0),
    ],
)
def test_one_404_after_a_rotation_pays_nothing_twice(sim, conn_id, run_dag, monkeypatch, status, body, times):
    if times:
        sim.order_fault(
            "respond", method="GET", path="/inference-request/request-history/*", times=times, status=status, body=body
        )
    run_dag(ROTATED.replace("MODEL", MODEL))
    assert jobs(sim) == 1


@pytest.mark.attack("A proxy quotes its password in a download's encoding", "not all but one sign of it")
def test_a_download_tells_no_half_of_a_proxys_password(set_connection, monkeypatch):
    password = "9f86d081884c7d659a2f"
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + b"a" * 11 + password.encode() + TAIL
    with hostile(answer) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:{password}@127.0.0.1:{proxy.port}")
        SegmindHook(set_connection()).settings  # noqa: B018 as any task does
        with pytest.raises(SegmindError) as raised, DownloadRequest("http://cdn.example/a.png", Hosts(), 3).get():
            pass
    assert password[:-1] not in str(raised.value)


@pytest.mark.attack("Three refusals that do not come in a row", "the wait goes on")
def test_refusals_that_do_not_come_in_a_row_end_no_wait():
    now = datetime.now(UTC)
    wait = JobWait(request_id=ID, deadline=now + timedelta(hours=1), pause=lambda _: 1.0, submitted_at=now)
    for _ in range(3):
        wait.poll()
        told = wait.after_error(SegmindPermissionError("a gateway's 403"), now=now)
        assert not isinstance(told, GiveUp)
        wait.poll()
        wait.after_error(SegmindRequestNotFoundError("not known yet"), now=now)  # the API
        told = wait.after_error(SegmindRequestNotFoundError("not known yet"), now=now)  # the history
        assert not isinstance(told, GiveUp)
