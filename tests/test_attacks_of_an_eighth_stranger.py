"""What an eighth tester, who wrote no fix, broke in an hour; each held on 0.1.0's last state before it was mended."""

from __future__ import annotations

import gc
import json
import time
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat

import pytest

from airflow_provider_kling.segmind import redaction
from airflow_provider_kling.segmind.history import HistoryRow
from airflow_provider_kling.submission.history_match import Sent, Window, matches
from tests.hostile import hostile
from tests.test_attacks_of_a_second_stranger import IMPORTS, alone

MODEL, ID = "kling-3-text2image", "2c7f59ea-13f1-402c-9353-915a2b5a2124"
GENERATE = (
    IMPORTS
    + f"""
KlingGenerateOperator(
    task_id="make", model="{MODEL}", payload={{"prompt": "a fox"}}, retries=2, deferrable=DEFER, poll_interval=0.2,
    EXTRA
)
"""
)
RESULT = "/v2/requests/????????-????-????-????-????????????"


def generate(extra="", *, deferrable=False):
    return GENERATE.replace("EXTRA", extra).replace("DEFER", str(deferrable))


def jobs(sim):
    return len(sim.ledger()["jobs"])


HEADS = """
import asyncio, os, json, resource, sys, time
from airflow_provider_kling.hooks.segmind import SegmindAsyncHook
from airflow_provider_kling.segmind.errors import SegmindError
connection = {"conn_type": "segmind", "host": sys.argv[1], "password": "sg_0123456789abcdef", "extra": {"timeout": 5}}
os.environ["AIRFLOW_CONN_SEGMIND_X"] = json.dumps(connection)
pauses, told = [], []

async def tick():
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.05)
        pauses.append(time.monotonic() - before - 0.05)

async def main():
    ticking = asyncio.create_task(tick())
    async with SegmindAsyncHook("segmind_x") as hook:
        for _ in range(2):
            try:
                await hook.get_status("2c7f59ea-13f1-402c-9353-915a2b5a2124")
            except SegmindError as error:
                told.append(type(error).__name__)
    ticking.cancel()

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # which begins with the parent's
asyncio.run(main())
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(*told, "MiB", grown // 1024, "pause", max(pauses) < 3)
"""


@pytest.mark.attack("Headers without an end, few long ones or many short ones", "less than 300 MiB, no pause above 3 s")
@pytest.mark.parametrize(
    "piece", [b"a:\r\n" * 16_000, b"X: " + b"x" * 8_000 + b"\r\n"], ids=["many short ones", "some long ones"]
)
def test_headers_without_an_end_cost_no_memory_and_stop_no_trigger(piece):
    parts = chain([b"HTTP/1.1 200 OK\r\n"], repeat(piece))
    with hostile(lambda _: next(parts), endless=True) as server:
        told = alone(HEADS, server.url, seconds=60)
    assert told.count("SegmindConnectionError") + told.count("SegmindResponseError") == 2
    assert int(told.rpartition("MiB ")[2].split()[0]) < 300
    assert told.rstrip().endswith("pause True")


@pytest.mark.attack("Heads of usual length, one after the other, where long ones are refused", "each is read")
def test_a_head_of_usual_length_is_read_request_after_request(sim, conn_id, run_dag):
    assert run_dag(generate(deferrable=True)).state == "success"


@pytest.mark.attack("A COMPLETED result has no output for a moment", "it is asked for again, and delivered")
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_a_result_that_has_no_output_for_a_moment_is_asked_for_again(sim, conn_id, run_dag, tmp_path, deferrable):
    sim.order_fault(
        "respond", method="GET", path=RESULT, times=2, status=200, body={"status": "COMPLETED", "output": None}
    )
    run = run_dag(generate(f'store="{tmp_path}/out"', deferrable=deferrable))
    assert (run.state, run.task("make").try_number, jobs(sim)) == ("success", 1, 1)
    assert run.xcom("make")["url"]


@pytest.mark.attack("A COMPLETED result never has an output", "the file comes from the history")
def test_a_result_that_stays_without_an_output_gets_its_file_from_the_history(sim, conn_id, run_dag):
    sim.order_fault(
        "respond", method="GET", path=RESULT, times=99, status=200, body={"status": "COMPLETED", "output": None}
    )
    run = run_dag(generate())
    assert (run.state, jobs(sim)) == ("success", 1)
    assert run.xcom("make")["url"].endswith(".png")


@pytest.mark.attack("An output names its file by another key", "the file is saved")
@pytest.mark.parametrize(
    "shape",
    [
        {"urls": ["LINK"]},
        {"task_result": {"videos": [{"url": "LINK"}]}},
        {"image_urls": ["LINK"]},
        {"works": [{"resource": {"resource": "LINK"}}]},
    ],
    ids=lambda shape: next(iter(shape)),
)
def test_a_file_is_found_in_outputs_of_other_shapes(sim, conn_id, run_dag, tmp_path, shape):
    link = f"{sim.url}/simulator/inputs/robot.png"
    body = json.loads(json.dumps({"status": "COMPLETED", "output": shape}).replace("LINK", link))
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)
    assert run_dag(generate(f'store="{tmp_path}/out"')).state == "success"


@pytest.mark.attack("A link answers 403, and nobody knows the job's age", "it is asked for again")
@pytest.mark.parametrize(
    ("row", "status"),
    [
        ({"error": "not found"}, 404),
        ({"data": [{"model_name": MODEL, "model_status": "COMPLETED", "model_created": "a moment ago"}]}, 200),
    ],
    ids=["no row yet", "a row without a time"],
)
def test_a_file_that_is_late_is_not_told_to_have_expired_where_nobody_knows_its_age(
    sim, conn_id, run_dag, tmp_path, capfd, row, status
):
    history = "/inference-request/request-history/*"
    sim.order_fault("respond", method="GET", path=history, times=99, status=status, body=row)
    sim.order_fault("respond", method="GET", path="/generations/*", times=1, status=403, body="")
    run = run_dag(generate(f'store="{tmp_path}/out"'))
    assert (run.state, jobs(sim)) == ("success", 1)
    told = capfd.readouterr()
    assert "has expired" not in told.out + told.err


@pytest.mark.attack("A gateway gives up on the search for a paid job", "it is asked again; nothing is paid twice")
@pytest.mark.parametrize("status", [408, 409, 425, 499])
def test_a_gateway_that_gives_up_on_a_question_ends_no_search(sim, conn_id, run_dag, status):
    sim.order_fault("reset_after", method="POST", path="/v2/kling-*")
    sim.order_fault("respond", path="/inference-request/request-history*", times=1, status=status, body="")
    run = run_dag(generate("orphan_grace=5, history_timeout=2"))
    assert (run.state, run.task("make").try_number, jobs(sim)) == ("success", 1, 1)


@pytest.mark.attack("A gateway refuses two looks at a job", "the third one is believed")
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_one_refusal_in_json_ends_no_wait(sim, conn_id, run_dag, status, deferrable):
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=2, status=status, body={"message": "No."})
    run = run_dag(generate(deferrable=deferrable))
    assert (run.state, run.task("make").try_number, jobs(sim)) == ("success", 1, 1)


@pytest.mark.attack("A gateway refuses the search for a paid job once", "it is asked again; nothing is paid twice")
def test_one_refusal_in_json_ends_no_search(sim, conn_id, run_dag):
    sim.order_fault("reset_after", method="POST", path="/v2/kling-*")
    history = "/inference-request/request-history*"
    sim.order_fault("respond", method="GET", path=history, times=1, status=403, body={"message": "Forbidden"})
    run = run_dag(generate("orphan_grace=5, history_timeout=2"))
    assert (run.state, run.task("make").try_number, jobs(sim)) == ("success", 1, 1)


PRICED = (
    IMPORTS
    + """
from airflow_provider_kling.budget import KlingBudget

@task
def jobs(**context):
    return [context["dag_run"].conf["job"]]

KlingSubmitOperator.partial(task_id="make", LIMIT).expand_kwargs(jobs())
"""
)


@pytest.mark.attack(
    "A run brings a parameter that no class knows, and there is a limit",
    "nothing is sent without a price by the author",
)
@pytest.mark.parametrize(
    ("limit", "sent"),
    [
        ("max_cost=0.035", 0),
        ("budget=KlingBudget(max_cost_per_dag_run=0.035)", 0),
        (f'budget=KlingBudget(max_cost_per_dag_run=1, prices={{"{MODEL}": 0.5}})', 1),
        ("retries=0", 1),
    ],
)
def test_a_parameter_that_no_class_knows_has_no_known_price(sim, conn_id, run_dag, limit, sent, capfd):
    job = {"model": MODEL, "payload": {"prompt": "a fox", "num_images": 9}}
    run_dag(PRICED.replace("LIMIT", limit), run_conf={"job": job})
    assert jobs(sim) == sent
    told = capfd.readouterr()
    assert ("does not know (num_images)" in told.out + told.err) == (not sent)


@pytest.mark.attack("120 rows whose prompts look like long lists", "read in 5 s of processor")
def test_texts_that_look_like_lists_take_a_search_no_minutes():
    now = datetime.now(UTC)
    for inner in "['',{}," + "[]," * 20_000 + "]", "[" + "1," * 31_000 + "1]":
        rows = [
            HistoryRow(request_id=ID, model_name=MODEL, model_created=now, request_body=json.dumps({"prompt": inner}))
            for _ in range(120)
        ]
        gc.disable()  # which looks through all that the test process has by now
        begun = time.process_time()
        told = matches(Sent(MODEL, {"prompt": "a fox"}, [Window.after(now, timedelta(minutes=10))]), rows)
        took = time.process_time() - begun
        gc.enable()
        assert (told.certain, took < 5) == ((), True)


@pytest.mark.attack("Four dead links, and a history that is silent", "it is asked for one of them")
def test_a_history_that_is_silent_is_not_asked_again_for_each_dead_link(sim, set_connection, run_dag, tmp_path):
    with hostile(b"", every=5.0) as history:
        other = set_connection(extra={"history_host": history.url, "timeout": 0.3, "time_scale": 400})
        links = [f"{sim.url}/generations/dead{number}.png" for number in range(4)]
        body = {"status": "COMPLETED", "output": links}
        sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)
        extra = f'store="{tmp_path}/out", segmind_conn_id="{other}"'
        assert run_dag(generate(extra).replace("retries=2", "retries=0")).state == "failed"
        assert history.connections <= 5


@pytest.mark.attack("A proxy's password is a word that stands in links too", "links stay as they are")
def test_a_word_with_a_capital_is_no_secret_by_itself(sim, conn_id, run_dag, tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://user:Generations@127.0.0.1:9")
    assert run_dag(generate(f'store="{tmp_path}/out"').replace("retries=2", "retries=0")).state == "success"


@pytest.mark.attack("An answer quotes the key in hexadecimal digits", "it is hidden")
def test_a_key_in_hexadecimal_digits_is_hidden():
    redaction.add("sg_hexed_0123456789")
    for text in b"sg_hexed_0123456789".hex(), b"sg_hexed_0123456789".hex().upper():
        assert redaction.hide(f"<{text}>") == "<***>"


TRANSFER = (
    IMPORTS
    + """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

@task
def results(**context):
    return [{"result": context["dag_run"].conf["result"]}]

SegmindToObjectStorageOperator.partial(task_id="keep", destination="OUT").expand_kwargs(results())
"""
)


@pytest.mark.attack("A run brings a result whose links are none", "the task fails with what to do")
@pytest.mark.parametrize("urls", [5, [5], [["a"]], [{"url": "a"}]], ids=repr)
def test_links_of_other_kinds_are_told_to_be_no_file(conn_id, run_dag, tmp_path, capfd, urls):
    result = {"request_id": ID, "urls": urls}
    assert run_dag(TRANSFER.replace("OUT", str(tmp_path / "out")), run_conf={"result": result}).state == "failed"
    told = capfd.readouterr()
    assert "has no file in its output" in told.out + told.err


@pytest.mark.attack("A run brings a time that is none", "the task fails and names it")
def test_a_time_that_is_none_is_named(sim, conn_id, run_dag, capfd):
    code = IMPORTS + f'\nKlingSensor(task_id="wait", request_id="{ID}", mode="poke", submitted_at="yesterday")\n'
    assert run_dag(code).state == "failed"
    told = capfd.readouterr()
    assert "submitted_at: 'yesterday' is no time" in told.out + told.err
