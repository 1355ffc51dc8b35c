"""What a tester who had never seen the code has tried, and what it came to; each fails where the promise is broken."""

from __future__ import annotations

import os
import resource
import threading
from contextlib import contextmanager, suppress

import pytest
from PIL import Image

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
