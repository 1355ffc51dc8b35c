"""Every block of Python on the pages, taken from them and run on a running Airflow; and the commands beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
import requests
from PIL import Image

from tests.conftest import AIRFLOW_3, AIRFLOW_3_2, connection_json
from tests.e2e.bills import jobs_of
from tests.e2e.documented import (
    EXIT_CODES,
    LESSONS,
    MY_DAG,
    NOT_HERE,
    PICTURES,
    PUBLISH,
    SERVES,
    SIZE,
    USERS_TEST,
    words_in,
)
from tests.e2e.pages import blocks, pages, written_in

PYTHON = written_in("python")
KNOWN = [(words_in(block)[0], block) for block in PYTHON if len(words_in(block)) == 1]
DAGS = [(LESSONS[words], block) for words, block in KNOWN if words in LESSONS]
#: What is on the pages besides Python and commands, and needs no run.
DATA = {"json", "yaml", "toml", "ini", "text"}
JSON_PAYLOAD = '{"prompt": "a mug on a wooden table", "duration": "3"}'
COMMAND_SECONDS = 120
#: Seconds for a run: on a quiet machine each takes less than a minute.
PATIENCE = 600


def the(words):
    """Return the block with these words."""
    (block,) = (block for known, block in KNOWN if known == words)
    return block


def run_id(lesson):
    return f"documented-{lesson.dag_id}"


@pytest.fixture(scope="module")
def started(running, sim, s3):
    """Put all DAGs of the pages into the DAG folder and start them at once; return the jobs billed before."""
    for bucket, names in PICTURES.items():
        s3.create_bucket(Bucket=bucket)
        for name in names:
            s3.put_object(Bucket=bucket, Key=name, Body=picture(len(name)))
    endpoint = {"endpoint_url": s3.meta.endpoint_url, "region_name": s3.meta.region_name}
    keys = s3._request_signer._credentials
    connection = {"conn_type": "aws", "login": keys.access_key, "password": keys.secret_key, "extra": endpoint}
    running.add_connection("my_aws", json.dumps(connection))
    billed_before = sim.ledger()["accepted"]
    publish = the(PUBLISH).text
    if not AIRFLOW_3:  # as the page says
        publish = publish.replace("triggering_asset_events", "triggering_dataset_events")
    texts = {lesson.dag_id: lesson.dag_file(block, f"{sim.url}/simulator/inputs") for lesson, block in DAGS}
    try:
        running.write_dags({**texts, "publish": publish})
        for lesson, _ in DAGS:
            running.trigger(lesson.dag_id, run_id(lesson))
        yield billed_before
    finally:
        running.remove_files([*texts, "publish"])


def picture(shade):
    file = BytesIO()
    Image.new("RGB", SIZE, (shade, 80, 160)).save(file, "png")
    return file.getvalue()


# --- Python


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_it_is_known_how_each_block_is_run(block):
    assert len(words_in(block)) == 1, (
        f"{block.place}: tests/e2e/documented.py must say how this block is run, by words that stand in no other."
    )


def test_what_is_known_stands_on_a_page():
    assert sorted(words for words, _ in KNOWN) == sorted([*LESSONS, PUBLISH, USERS_TEST])


def test_every_block_says_what_it_is_written_in():
    languages = {block.place: block.language for page in pages() for block in blocks(page)}
    assert {place: name for place, name in languages.items() if name not in {"python", "console", *DATA}} == {}


@pytest.mark.parametrize(("lesson", "block"), DAGS, ids=[block.place for _, block in DAGS])
def test_each_dag_ends_in_success_and_bills_and_keeps_what_the_page_says(lesson, block, started, running, sim, s3):
    assert running.run_ends(run_id(lesson), seconds=PATIENCE) == "success", f"{block.place}\n{running.last_words()}"
    assert set(running.states(run_id(lesson))) == {"success"}
    jobs = jobs_of(running, sim, run_id(lesson))
    assert len(jobs) == lesson.jobs
    assert lesson.agrees(jobs), [job["inputs"] for job in jobs]
    kept = files_of(s3, run_id(lesson))
    assert len(kept) == lesson.files
    assert set(kept) <= {requests.get(job["url"], timeout=10).content for job in jobs}


def test_nothing_else_is_billed(started, running, sim):
    for lesson, _ in DAGS:
        running.run_ends(run_id(lesson), seconds=PATIENCE)
    assert sim.ledger()["accepted"] - started == sum(lesson.jobs for lesson, _ in DAGS)


def test_what_the_others_have_saved_starts_the_next_dag_which_reads_of_it(started, running, s3):
    for lesson, _ in DAGS:
        running.run_ends(run_id(lesson), seconds=PATIENCE)
    runs = running.wait_until(lambda: running.runs("publish"), "a saved file starts a run")
    for run in runs:
        assert running.run_ends(run, seconds=PATIENCE) == "success", running.last_words()
    logs = (running.home / "logs" / "dag_id=publish").rglob("attempt=1.log")
    printed = " ".join(log.read_text() for log in logs)
    saved = [item["Key"] for item in s3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert [key for key in saved if f"s3://bucket/{key} kling-o1 0.035" in printed], printed


def files_of(s3, run):
    """Return the contents of the files that a run kept, having seen that each is described."""
    keys = {
        (bucket, item["Key"])
        for bucket in PICTURES
        for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        if run in item["Key"]
    }
    files = [(bucket, key) for bucket, key in keys if not key.endswith(".json")]
    assert {(bucket, f"{key.rpartition('.')[0]}.json") for bucket, key in files} == keys - set(files)
    return [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for bucket, key in files]


def test_the_test_of_a_users_own_dag_passes(airflow_db, tmp_path):
    dag_file = Path(airflow_db, "dags", "my_dag.py")
    dag_file.write_text(MY_DAG)
    test = tmp_path / "test_my_dag.py"
    test.write_text(f"from my_dag import my_dag\n\n{the(USERS_TEST).text}")
    try:
        ran = subprocess.run(  # noqa: S603 a test on a page of this project
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, test],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(dag_file.parent), *filter(None, sys.path)])},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    finally:
        dag_file.unlink()
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


# --- commands


def commands():
    """Yield each command of the pages, where it stands, and the lines that it prints there."""
    for block in written_in("console"):
        shown = None
        for line in block.text.splitlines():
            if line.startswith("$ "):
                shown = []
                yield block.place, line.removeprefix("$ ").partition("  #")[0].strip(), shown
            elif shown is not None:
                shown.append(line)


SERVING = [block for block in written_in("console") if SERVES in block.text]
COMMANDS = [
    command
    for command in commands()
    if not command[1].startswith(NOT_HERE) and command[0] not in {block.place for block in SERVING}
]


@pytest.mark.parametrize("block", SERVING, ids=[block.place for block in SERVING])
def test_a_simulator_of_the_page_answers_the_commands_below_it(block):
    serve, *below = [command for place, command, _ in commands() if place == block.place]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(f"exec {serve}", shell=True, env={**os.environ, "PATH": path}) as server:  # noqa: S602 a line of a page of this project
        try:
            wait_for("http://localhost:8765/simulator/health")
            for command in below:
                ran = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=True)  # noqa: S602 see above
                assert "error" not in ran.stdout, ran.stdout
                if "/simulator/history" in command:
                    ordered = json.loads(command.partition(" -d ")[2].strip("'"))
                    assert json.loads(ran.stdout).items() >= ordered.items()
        finally:
            server.terminate()


def wait_for(url):
    """Wait until a server answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(requests.ConnectionError):
            return requests.get(url, timeout=5).raise_for_status()
        time.sleep(0.2)
    raise TimeoutError(url)


@pytest.mark.parametrize(("place", "command", "shown"), COMMANDS, ids=[command[:50] for _, command, _ in COMMANDS])
def test_each_command_does_what_the_page_says(place, command, shown, airflow_db, sim, tmp_path):
    (tmp_path / "payload.json").write_text(JSON_PAYLOAD)
    if not AIRFLOW_3_2:  # as the page says
        command = command.replace("airflow kling", "python -m airflow_provider_kling")
    if command.startswith("export AIRFLOW_CONN_"):
        command += " && airflow connections get segmind_default -o json"
        shown = ['"conn_type": "segmind"']
    ran = subprocess.run(  # noqa: S602 a line for a shell, from a page of this project
        command,
        shell=True,
        cwd=tmp_path,
        env={
            **os.environ,
            "AIRFLOW_CONN_SEGMIND_DEFAULT": connection_json(sim),
            # One ledger for all commands, as the page goes on with what it has made.
            "AIRFLOW__KLING__LEDGER_CONN_ID": "kling_ledger",
            "AIRFLOW_CONN_KLING_LEDGER": json.dumps({"conn_type": "sqlite", "host": f"{airflow_db}/kling_ledger.db"}),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    said = ran.stdout + ran.stderr
    assert ran.returncode in EXIT_CODES.get(command, (0,)), f"{place}: {said}"
    assert [line for line in shown if line not in said] == [], said
