"""What a tester who had never seen the code has tried, and what it came to; each fails where the promise is broken."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from PIL import Image

from airflow_provider_kling.segmind.errors import SegmindError
from tests.conftest import connection_json
from tests.hostile import hostile

GENERATE = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator
"""


def make(picture):
    """Return the tasks of a DAG that makes a picture of one and saves it."""
    folder = picture.partition("/inbox")[0]
    return f"""
{GENERATE}
KlingGenerateOperator(
    task_id="make", model="kling-o1", store="{folder}/out",
    payload={{"prompt": "@Image1", "image_urls": ["{picture}"]}},
)"""


@pytest.fixture
def inbox(tmp_path):
    """Return a folder that somebody else fills, beside one that nobody allowed."""
    for name, colour in (("inbox/mug.png", "red"), ("secret/pin.png", "blue")):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (320, 320), colour).save(tmp_path / name)
    (tmp_path / "out").mkdir()
    return tmp_path / "inbox"


@contextmanager
def pipe(path):
    """Put a named pipe there; yield who waited for it, and let them go on, so that a test ends."""
    os.mkfifo(path)
    waited, over = [], threading.Event()

    def watch():
        while not over.wait(0.05):
            with suppress(OSError):  # nobody reads it
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                waited.append("somebody")

    thread = threading.Thread(target=watch)
    thread.start()
    yield waited
    over.set()
    thread.join()


# --- descriptions beside an input, which the folder's owner wrote


@pytest.mark.attack("A named pipe lies beside an uploaded picture, as its description", "no task waits for it")
def test_a_pipe_beside_an_input_holds_no_task(sim, conn_id, run_dag, inbox, seen):
    with pipe(inbox / "mug.json") as waited:
        run = run_dag(make(f"{inbox}/{{{{ dag_run.conf['name'] }}}}"), run_conf={"name": "mug.png"})
    seen(f"{len(sim.ledger()['jobs'])} paid, {run.state}")
    assert waited == []  # it would for ever, and the paid file be lost


@pytest.mark.attack("A JSON file without an end lies beside an uploaded picture", "it is not read whole into memory")
def test_a_huge_file_beside_an_input_is_not_read_whole(sim, conn_id, run_dag, inbox, seen):
    with (inbox / "mug.json").open("wb") as file:
        file.truncate(400 * 1024**2)  # sparse: it takes no room
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = run_dag(make(f"{inbox}/{{{{ dag_run.conf['name'] }}}}"), run_conf={"name": "mug.png"})
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    seen(f"{grown:.0f} MiB more, {run.state}")
    assert run.state == "success"
    assert grown < 300  # MiB


# --- the triggerer's event loop


def answer(body, status="200 OK"):
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


#: Answers of at most 8 MiB, which is how much is read.
LARGE = {
    "a list of little texts": lambda: b'{"status": "PROCESSING", "output": [' + b'"[",' * (2 * 1024**2 - 20) + b"1]}",
    "many names": lambda: (
        b'{"status": "PROCESSING"' + b"".join(b', "%x": 1' % number for number in range(600_000)) + b"}"
    ),
    "a page of a gateway": lambda: b"<html>" + b"s%25" * (2 * 1024**2 - 10),
}


@pytest.mark.attack("Answer a wait's look with 8 MiB that take long to read", "other triggers of the process go on")
@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_a_large_answer_does_not_hold_the_triggerers_event_loop(monkeypatch, seen, body):
    from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook

    pauses = []

    async def tick():
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            pauses.append(time.monotonic() - before - 0.05)

    async def look():
        ticking = asyncio.create_task(tick())
        async with SegmindAsyncHook("segmind_large") as hook:
            await asyncio.sleep(0.2)
            with suppress(SegmindError):
                await hook.get_result("2c7f59ea-13f1-402c-9353-915a2b5a2124")
        await asyncio.sleep(0.1)
        ticking.cancel()

    with hostile(answer(body())) as server:
        connection = {"conn_type": "segmind", "host": server.url, "password": "sg_0123456789abcdef"}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_LARGE", json.dumps(connection))
        asyncio.run(look())
    seen(f"it stood still for {max(pauses):.1f} s")
    assert max(pauses) < 1.0  # Airflow warns of 0.2


@pytest.mark.attack("Tell of one job that it took 1e300 seconds", "other jobs of its model are looked at in time")
def test_one_wild_duration_does_not_stop_the_looks_at_other_jobs(seen):
    from airflow_provider_kling.polling.schedule import Durations, Job
    from airflow_provider_kling.segmind import protocol

    told = protocol.result("abc").read(
        200, {}, b'{"status": "COMPLETED", "output": "https://a.b/c.mp4", "metrics": {"total_time": 1e300}}'
    )
    durations = Durations()
    durations.observe("kling-o1", 60.0, told.metrics.total_time)
    job = Job(0.0, durations.expect("kling-o1", 60.0))
    pause = job.pause(300.0)  # it is five minutes old, of a model that takes one
    seen(f"the next look comes in {pause:.3g} s")
    assert pause <= 60


# --- which files are uploaded


@pytest.mark.attack("A link in a folder whose files the author uploads by a pattern leads elsewhere", "not uploaded")
def test_an_authors_pattern_follows_no_link_out_of_its_folder(sim, conn_id, run_dag, inbox, seen):
    (inbox / "link.png").symlink_to(inbox.parent / "secret/pin.png")
    run = run_dag(f'{GENERATE}\nObjectStorageToSegmindOperator(task_id="upload", source="{inbox}/*.png")')
    seen(f"{run.state}, {len(sim.uploads())} uploaded")
    assert len(sim.uploads()) <= 1  # mug.png at the most


@pytest.mark.attack("A file becomes a link after the check, while a larger one is read", "what it leads to is not read")
def test_a_file_that_becomes_a_link_after_the_check_is_not_uploaded(sim, conn_id, run_dag, inbox, seen):
    secret = inbox.parent / "secret/pin.png"
    with (inbox / "mug.png").open("ab") as file:
        file.truncate(190 * 1024**2)
    (inbox / "small.png").write_bytes((inbox / "mug.png").read_bytes()[:900])

    def swap():
        """Wait until the large file is open, as `inotify` tells whoever owns the folder; then put a link there."""
        over = time.monotonic() + 120
        while time.monotonic() < over:
            for link in Path("/proc/self/fd").iterdir():
                with suppress(OSError):
                    if link.readlink() == inbox / "mug.png":
                        (inbox / "next").symlink_to(secret)
                        (inbox / "next").replace(inbox / "small.png")
                        return

    thread = threading.Thread(target=swap, daemon=True)
    thread.start()
    run = run_dag(
        f"""
{GENERATE}
ObjectStorageToSegmindOperator(task_id="upload", source=[
    "{inbox}/{{{{ dag_run.conf['names'][0] }}}}", "{inbox}/{{{{ dag_run.conf['names'][1] }}}}"
])""",
        run_conf={"names": ["mug.png", "small.png"]},
    )
    thread.join(1)
    hashes = [upload["sha256"] for upload in sim.uploads()]
    seen(f"{run.state}, {len(sim.uploads())} uploaded")
    assert hashlib.sha256(secret.read_bytes()).hexdigest() not in hashes


@pytest.mark.attack("A parameter writes an allowed folder with two slashes, as //data", "it is that one")
@pytest.mark.parametrize("slashes", ["/", "file:///"])
def test_two_slashes_lead_to_no_folder_below_the_workers_own(sim, conn_id, run_dag, inbox, monkeypatch, seen, slashes):
    """fsspec takes what begins with two slashes for a path below the working directory."""
    monkeypatch.setenv("AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS", str(inbox))
    monkeypatch.setenv("AIRFLOW__KLING__STORE_ALLOWED_PATHS", str(inbox.parent / "out"))
    cwd = inbox.parent / "cwd"
    other = cwd / str(inbox)[1:]  # where nobody allowed anything
    other.mkdir(parents=True)
    (other / "mug.png").write_bytes((inbox.parent / "secret/pin.png").read_bytes())
    monkeypatch.chdir(cwd)
    run = run_dag(
        f"""
{GENERATE}
KlingGenerateOperator(
    task_id="make", model="kling-o1", store="{{{{ dag_run.conf['to'] }}}}",
    payload={{"prompt": "@Image1", "image_urls": ["{{{{ dag_run.conf['picture'] }}}}"]}},
)""",
        run_conf={"to": f"{slashes}{inbox.parent}/out", "picture": f"{slashes}{inbox}/mug.png"},
    )
    uploaded = [upload["sha256"] for upload in sim.uploads()]
    outside = [path for path in cwd.rglob("*") if path.is_file() and path.parent != other]
    seen(f"{run.state}, {len(uploaded)} uploaded, {len(outside)} written outside")
    assert hashlib.sha256((other / "mug.png").read_bytes()).hexdigest() not in uploaded
    assert outside == []


@pytest.mark.attack("Backslashes lead up from an allowed folder of a share (smb://)", "it is not uploaded")
def test_backslashes_do_not_lead_up_on_a_share():
    from airflow_provider_kling.storage.allowed_paths import UPLOAD_ALLOWED_PATHS, Named

    written = Named("smb://my_smb@server/share/inbox/{{ x }}")
    up = Named("smb://my_smb@server/share/inbox/..\\..\\secret\\pin.png")
    assert up.refusal(written, UPLOAD_ALLOWED_PATHS) is not None


# --- money

BUDGET = """
from airflow_provider_kling.budget import KlingBudget

dag.default_args["budget"] = KlingBudget(max_cost_per_dag_run=0.05)
dag.default_args["max_cost"] = 0.02

@task
def jobs():
    from airflow.providers.common.compat.sdk import get_current_context
    return get_current_context()["dag_run"].conf["jobs"]

KlingSubmitOperator.partial(task_id="submit", model="kling-3-text2image").expand_kwargs(jobs())
"""


@pytest.mark.attack(
    "What is mapped over sets the budget and max_cost of the author's default_args to None",
    "they hold",
)
def test_what_is_mapped_over_takes_no_limit_away(sim, conn_id, run_dag, seen):
    with_limit = run_dag(BUDGET, run_conf={"jobs": [{"payload": {"prompt": "a"}}]})
    assert (with_limit.state, sim.ledger()["jobs"]) == ("failed", [])  # $0.035 is above max_cost
    job = {"payload": {"prompt": "a"}, "budget": None, "max_cost": None}
    run = run_dag(BUDGET, run_conf={"jobs": [{**job, "payload": {"prompt": str(number)}} for number in range(3)]})
    seen(f"{run.state}, {len(sim.ledger()['jobs'])} paid")
    assert len(sim.ledger()["jobs"]) <= 1


@pytest.mark.attack("What is mapped over names another segmind connection than default_args do", "it is not used")
def test_what_is_mapped_over_chooses_no_key(sim, set_connection, run_dag, monkeypatch, seen):
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, password="another_teams_key"))
    tasks = (
        """
dag.default_args["segmind_conn_id"] = "segmind_default"
"""
        + BUDGET.partition("@task")[1]
        + BUDGET.partition("@task")[2]
    )
    run = run_dag(tasks, run_conf={"jobs": [{"payload": {"prompt": "a"}, "segmind_conn_id": set_connection()}]})
    seen(f"{run.state}, {len(sim.ledger()['jobs'])} paid")
    assert sim.ledger()["jobs"] == []


# --- answers without an end


@pytest.mark.attack("Answer each page of the history with a hundred rows that were never seen", "the search ends")
def test_a_history_without_an_end_ends(monkeypatch, seen):
    from datetime import UTC, datetime, timedelta

    from airflow_provider_kling.hooks.segmind import SegmindHook

    def page(asked):
        number = asked.partition(b"page=")[2].partition(b"&")[0].decode()
        rows = [{"request_id": f"p{number}-{row}", "model_name": "kling-o1"} for row in range(100)]
        return answer(json.dumps({"data": rows}).encode())

    def search():
        with suppress(SegmindError):
            SegmindHook("segmind_endless").find_requests(
                model="kling-o1", since=datetime.now(tz=UTC) - timedelta(minutes=20)
            )

    with hostile(page) as server:
        connection = {"conn_type": "segmind", "host": server.url, "password": "sg_0123456789abcdef"}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_ENDLESS", json.dumps(connection))
        thread = threading.Thread(target=search, daemon=True)
        thread.start()
        thread.join(20)
        seen(f"{len(server.asked)} pages were asked for in 20 s")
        asked = len(server.asked)
    assert not thread.is_alive(), f"{asked} pages so far"


@pytest.mark.attack("Answer that a job was made of its own result, a dozen times", "its description costs a few looks")
def test_a_job_that_was_made_of_itself_is_described(sim, conn_id, run_dag, tmp_path, seen):
    from airflow_provider_kling.hooks.segmind import SegmindHook

    hook = SegmindHook(conn_id)
    first = hook.submit("kling-3-text2image", {"prompt": "a"}).request_id
    while not (url := hook.get_result(first).url):
        time.sleep(0.1)
    body = json.dumps({"image_urls": [url] * 4})
    row = {"request_id": first, "model_name": "kling-o1", "model_status": "COMPLETED", "request_body": body}
    path = "/inference-request/request-history/*"
    sim.order_fault("respond", method="GET", path=path, status=200, body={"data": [row]}, times=3000)
    limit = threading.Timer(20, sim.clear_faults)  # else it is for ever
    limit.start()
    run = run_dag(f"""
from airflow_provider_kling.operators.kling import KlingGenerateOperator

seen = KlingSensor(task_id="seen", request_id="{first}", model="kling-o1")
made = KlingGenerateOperator(
    task_id="make", model="kling-o1", store="{tmp_path}", payload={{"prompt": "@Image1", "image_urls": ["{url}"]}})
seen >> made
""")
    limit.cancel()
    looks = [request for request in sim.requests() if "request-history/" in request["path"]]
    seen(f"{run.state} after {len(looks)} looks in the history")
    assert len(looks) < 20


#: What Airflow's serialisation takes for something else than a dict.
RESERVED = {
    "an object, as Airflow 2.4 wrote one": {"__type": "os.system", "__var": {"command": "id"}},
    "an object of Airflow's": {
        "__type": "airflow.sdk.definitions.asset.Asset",
        "__var": {"name": "a", "uri": "s3://a/b"},
    },
    "a class": {"__classname__": "os.system", "__version__": 1, "__data__": "id"},
}


@pytest.mark.attack(
    "Answer with what Airflow's XComs take for an object of a class",
    "it is a dict downstream, as told",
)
@pytest.mark.parametrize("told", RESERVED.values(), ids=RESERVED)
@pytest.mark.parametrize("operator", ["sensor", "generate"])
def test_an_answer_is_no_object_of_a_class_downstream(sim, conn_id, run_dag, seen, told, operator, tmp_path):
    body = {"status": "COMPLETED", "output": f"{sim.url}/simulator/inputs/robot.png", "extra": told}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", status=200, body=body, times=99)
    waits = (
        'KlingSensor(task_id="wait", request_id=submit.output)'
        if operator == "sensor"
        else 'KlingGenerateOperator(task_id="wait", model="kling-3-text2image", payload={"prompt": "b"})'
    )
    run = run_dag(f"""
{GENERATE}
@task
def read(result):
    assert isinstance(result["extra"], dict), type(result["extra"])

submit = KlingSubmitOperator(task_id="submit", model="kling-3-text2image", payload={{"prompt": "a"}})
wait = {waits}
submit >> wait
read(wait.output)
""")
    seen(f"wait {run.task_state('wait')}, read {run.task_state('read')}")
    assert (run.task_state("wait"), run.task_state("read")) == ("success", "success")


@pytest.mark.attack(
    "Another run adopts a job by its id, as a parameter may tell it, while that job's task is retried",
    "paid once",
)
def test_a_job_that_another_run_was_told_to_adopt_is_not_paid_again_by_its_own_task(seen):
    from datetime import timedelta

    from airflow_provider_kling.submission.record import Claim
    from tests.submission.test_attempt import ACCEPTED, IDS, NOW, Play, row

    theirs = Play(adopt=IDS[0], at=NOW + timedelta(minutes=1))
    adopted = theirs.run()  # what a run with adopt_request_id publishes
    mine = Play(ACCEPTED, at=NOW + timedelta(hours=1), looks=[[row()]])
    mine.strangers = [Claim(task="submit", run="theirs", record=adopted).model_dump(mode="json")]
    record = mine.run()
    seen(f"{mine.posts} sent again; it has {record.request_id}")
    assert mine.posts == 0
    assert record.request_id == IDS[0]


@pytest.mark.attack("A named pipe stands under the name of a result's description", "no task waits for it")
@pytest.mark.parametrize("moment", ["before it is paid", "after it is paid"])
def test_a_pipe_under_the_name_of_a_description_holds_no_task(sim, conn_id, run_dag, inbox, seen, moment):
    name = "clip.{ext}" if moment == "before it is paid" else "{request_id}.{ext}"
    out = inbox.parent / "out"
    tasks = f"""
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.storage.store import Store

KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "a"}}, store=Store("{out}", name="{name}"))
"""
    with ExitStack() as pipes:
        if moment == "before it is paid":
            waited = pipes.enter_context(pipe(out / "clip.json"))
        else:
            waited = []

            def watch():
                """Put the pipe there once the request id is known, as the UI and the logs tell it."""
                while not over.wait(0.02):
                    for job in sim.ledger()["jobs"]:
                        waited.append(pipes.enter_context(pipe(out / f"{job['request_id']}.json")))
                        return

            over = threading.Event()
            thread = threading.Thread(target=watch)
            thread.start()
            pipes.callback(lambda: (over.set(), thread.join()))
        run = run_dag(tasks)
    found = [who for who in waited if who]
    seen(f"{run.state}, {len(sim.ledger()['jobs'])} paid, somebody waited: {bool(found)}")
    assert found == []


@pytest.mark.attack("A description that somebody wrote names a file outside its folder", "it is none of that file")
def test_a_description_names_only_a_file_beside_it(sim, conn_id, run_dag, inbox, seen):
    from airflow_provider_kling.storage.sidecar import Sidecar

    secret, out = inbox.parent / "secret/pin.png", inbox.parent / "out"
    forged = Sidecar(
        request_id="abc",
        index=0,
        file="FILE",
        size=secret.stat().st_size,
        type="image/png",
        sha256=hashlib.sha256(secret.read_bytes()).hexdigest(),
        dag_id="d",
        run_id="r",
        task_id="t",
        map_index=-1,
        stored_at="2026-01-01T00:00:00Z",
    )
    (out / "clip.json").write_bytes(forged.to_json().replace(b"FILE", b"../secret/pin.png"))
    run = run_dag(f"""
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

SegmindToObjectStorageOperator(
    task_id="save", destination="{out}", name="clip.{{ext}}",
    result={{"request_id": "abc", "model": "kling-o1", "url": "{sim.url}/simulator/inputs/robot.png"}})
""")
    told = run.xcom("save")
    seen(told)
    assert told is None or ".." not in told[0]["path"]


@pytest.mark.attack(
    "A submit that was refused stands upstream of a sensor for another job",
    "the sensor delivers its job",
)
def test_a_withdrawn_claim_upstream_costs_a_sensor_nothing(sim, conn_id, run_dag, seen):
    from airflow_provider_kling.hooks.segmind import SegmindHook

    paid = SegmindHook(conn_id).submit("kling-3-text2image", {"prompt": "a"}).request_id
    sim.order_fault("respond", method="POST", path="/v2/*", status=400, body={"error": "no"})
    run = run_dag(f"""
submit = KlingSubmitOperator(task_id="submit", model="kling-3-text2image", payload={{"prompt": "b"}})
submit >> KlingSensor(task_id="wait", request_id="{paid}", trigger_rule="all_done")
""")
    seen(run.task_state("wait"))
    assert run.task_state("wait") == "success"


@pytest.mark.attack("Answer with files of one's own beside the result", "no task is told of files that were not saved")
def test_an_answer_names_no_saved_files(sim, conn_id, run_dag, seen):
    files = [{"path": "/etc/passwd", "sidecar": "/etc/shadow"}]
    body = {"status": "COMPLETED", "output": f"{sim.url}/simulator/inputs/robot.png", "files": files, "model": "x"}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", status=200, body=body, times=99)
    run = run_dag("""
from airflow_provider_kling.operators.kling import KlingGenerateOperator
KlingGenerateOperator(task_id="make", model="kling-3-text2image", payload={"prompt": "b"})
""")
    told = run.xcom("make")
    seen(told.get("files"))
    assert told["model"] == "kling-3-text2image"
    assert "files" not in told


@pytest.mark.attack(
    "Answer one wait with what XComs take for an object; another paid job comes after it",
    "that one is saved",
)
def test_an_answer_upstream_costs_no_other_jobs_file(sim, conn_id, run_dag, inbox, seen):
    from airflow_provider_kling.hooks.segmind import SegmindHook

    first = SegmindHook(conn_id).submit("kling-3-text2image", {"prompt": "a"}).request_id
    told = {"__type": "os.system", "__var": "id"}
    body = {"status": "COMPLETED", "output": f"{sim.url}/simulator/inputs/robot.png", "extra": told}
    sim.order_fault("respond", method="GET", path=f"/v2/requests/{first}*", status=200, body=body, times=99)
    picture = f"{sim.url}/simulator/inputs/robot.png"
    run = run_dag(f"""
{GENERATE}
KlingSensor(task_id="wait", request_id="{first}") >> KlingGenerateOperator(
    task_id="make", model="kling-o1", store="{inbox.parent}/out",
    payload={{"prompt": "@Image1", "image_urls": ["{picture}"]}})
""")
    saved = list((inbox.parent / "out").rglob("*.png"))
    seen(f"wait {run.task_state('wait')}, make {run.task_state('make')}, {len(saved)} saved")
    assert (run.task_state("make"), len(saved)) == ("success", 1)


# --- rendering

OVERRIDDEN = {
    "an operator": """
KlingSubmitOperator.partial(task_id="submit", model="kling-3-text2image", payload={"prompt": "usual"}).expand_kwargs(
    jobs(), strict=False)""",
    "a decorated function": """
@task.kling(model="kling-3-text2image")
def submit(prompt):
    return {"prompt": prompt}

submit.partial(prompt="usual").expand_kwargs(jobs(), strict=False)""",
}


@pytest.mark.attack("What is mapped over replaces what the author gave to partial (strict=False)", "it is no template")
@pytest.mark.parametrize("form", OVERRIDDEN)
def test_what_replaces_an_authors_argument_is_not_rendered(sim, conn_id, run_dag, monkeypatch, seen, form):
    monkeypatch.setenv("AIRFLOW_CONN_BANK", "http://me:pin1234@bank")
    data = "{{ conn.bank.password }}"
    job = {"payload": {"prompt": data}} if form == "an operator" else {"prompt": data}
    run = run_dag(
        BUDGET[BUDGET.index("@task") : BUDGET.index("KlingSubmitOperator")] + OVERRIDDEN[form], run_conf={"jobs": [job]}
    )
    sent = [job["inputs"]["prompt"] for job in sim.ledger()["jobs"]]
    seen(f"{run.state}, sent: {sent}")
    assert sent in ([data], [])


@pytest.mark.attack("What is mapped over replaces an author's file or folder (strict=False)", "it is not uploaded")
def test_what_replaces_an_authors_file_is_not_uploaded(sim, conn_id, run_dag, inbox, seen):
    run = run_dag(
        GENERATE
        + BUDGET[BUDGET.index("@task") : BUDGET.index("KlingSubmitOperator")]
        + f"""
ObjectStorageToSegmindOperator.partial(task_id="upload", source="{inbox}/mug.png").expand_kwargs(jobs(), strict=False)
""",
        run_conf={"jobs": [{"source": str(inbox.parent / "secret/pin.png")}]},
    )
    seen(f"{run.state}, {len(sim.uploads())} uploaded")
    assert sim.uploads() == []


#: Reads one answer, as large as it may be, in a process of its own; says how much memory that took at the most.
READ_ALONE = """
import re, sys
from datetime import UTC, datetime
from pathlib import Path
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import SegmindError

now = datetime.now(UTC)
call = {
    "one job": lambda: protocol.past_request("abc"), "a page": lambda: protocol.history(since=now, until=now)
}[sys.argv[2]]()
size = call.largest_answer - 200
body = {
    "rows": lambda: b'{"data": [' + b",".join([b"{}"] * (size // 3)) + b"]}",
    "a body of numbers": lambda: b'{"data": [{"request_body": "(' + b"1," * (size // 2) + b')"}]}',
}[sys.argv[1]]()
try:
    call.read(200, {}, body)
except SegmindError:
    pass
# Not the resources used: those begin with what the process had that has started this one.
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.attack(
    "Answer a look in the history with 8 MiB of empty rows, or of numbers in a text",
    "500 MiB at the most",
)
@pytest.mark.parametrize("answer", ["rows", "a body of numbers"])
@pytest.mark.parametrize("asked", ["one job", "a page"])
def test_an_answer_takes_no_memory_to_speak_of(seen, answer, asked):
    told = subprocess.run(  # noqa: S603 it is this interpreter
        [sys.executable, "-c", READ_ALONE, answer, asked], capture_output=True, text=True, timeout=120, check=True
    )
    seen(f"{told.stdout.strip()} MiB")
    assert int(told.stdout) < 500


@pytest.mark.attack(
    "A link beside an uploaded picture leads to the description of somebody else's file",
    "it is not told",
)
def test_a_link_beside_an_input_tells_nothing_of_where_it_leads(sim, conn_id, run_dag, inbox, seen):
    from airflow_provider_kling.storage.sidecar import Sidecar

    private = Sidecar(
        request_id="abc",
        index=0,
        file="pin.png",
        size=1,
        type="image/png",
        sha256="",
        dag_id="d",
        run_id="r",
        task_id="t",
        map_index=-1,
        stored_at="2026-01-01T00:00:00Z",
        payload={"prompt": "a secret prompt"},
    )
    (inbox.parent / "secret/pin.json").write_bytes(private.to_json())
    (inbox / "mug.json").symlink_to(inbox.parent / "secret/pin.json")
    run = run_dag(make(f"{inbox}/{{{{ dag_run.conf['name'] }}}}"), run_conf={"name": "mug.png"})
    told = "".join(path.read_text() for path in (inbox.parent / "out").rglob("*.json"))
    seen(f"{run.state}, told: {'a secret prompt' in told}")
    assert "a secret prompt" not in told


@pytest.mark.attack("Answer with a thousand links to result files", "no more are saved than a job can have made")
def test_a_job_has_no_thousand_files(sim, conn_id, run_dag, inbox, seen):
    links = [f"{sim.url}/simulator/inputs/robot.png?{number}" for number in range(60)]
    body = {"status": "COMPLETED", "output": links}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", status=200, body=body, times=99)
    run = run_dag(f"""
{GENERATE}
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "b"}}, store="{inbox.parent}/out")
""")
    saved = list((inbox.parent / "out").rglob("*.png"))
    seen(f"{run.state}, {len(saved)} saved")
    assert len(saved) < 50


def test_a_template_in_default_args_is_rendered_in_a_task_that_is_mapped_over_kwargs(sim, conn_id, run_dag, inbox):
    """No attack: what the author wrote in default_args counts as filled in, and a folder there is refused."""
    run = run_dag(
        GENERATE
        + f'\ndag.default_args["store"] = "{inbox.parent}/out/{{{{ ds or 1 }}}}"\n'
        + BUDGET[BUDGET.index("@task") : BUDGET.index("KlingSubmitOperator")]
        + 'KlingGenerateOperator.partial(task_id="make", model="kling-3-text2image").expand_kwargs(jobs())',
        run_conf={"jobs": [{"payload": {"prompt": "a"}}]},
    )
    assert run.state == "success"
