"""
How the code on the pages is run: what stands around a fragment, and what a run of it bills and keeps.

Each block of code is known by words that stand in it and in no other. One that is not known fails, so that no
line goes into the documentation untried.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import requests
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.pages import Block

#: Addresses on the pages that lead nowhere, and the simulator's pictures that are there instead.
ELSEWHERE = {"https://example.com/mug.png": "robot.png"}
#: The pictures that the pages name, by the bucket of a real S3, and what size they are there.
PICTURES = {"shop": ("mug.png", "shots/mug.png", "shots/lamp.png"), "bucket": ()}
SIZE = (640, 360)

HEADER = """
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image, O1ReferenceToVideo, O1VideoEdit
from airflow_provider_kling.sensors.kling import KlingSensor
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

PICTURE = {picture!r}
payload = O1Image(prompt="@Image1 on a white table", image_urls=[PICTURE])

with DAG({dag_id!r}, schedule=None):
{body}
"""


@dataclass(frozen=True)
class Lesson:
    """
    A block that is a DAG, or that becomes one.

    :param dag_id: of the DAG; a block that names none is wrapped into it.
    :param jobs: how many are billed.
    :param agrees: whether the jobs are as the page says.
    :param files: how many are kept in the buckets.
    :param before: what the page takes for granted.
    :param after: what makes use of what the block defines.
    """

    dag_id: str
    jobs: int
    agrees: Callable[[list[dict[str, Any]]], bool]
    files: int = 0
    before: str = ""
    after: str = ""

    def dag_file(self, block: Block, pictures: str) -> str:
        """Return the DAG file; the simulator's pictures, whose folder is given, stand for those out of reach."""
        text = block.text
        for address, name in ELSEWHERE.items():
            text = text.replace(address, f"{pictures}/{name}")
        if f'DAG("{self.dag_id}"' in text:
            return text
        body = textwrap.indent(f"{self.before}\n{text}\n{self.after}", "    ")
        return HEADER.format(picture=f"{pictures}/robot.png", dag_id=self.dag_id, body=body)


def _each_feeds_the_next(jobs: list[dict[str, Any]]) -> bool:
    return all(job["url"] == after["inputs"]["video_url"] for job, after in pairwise(jobs))


def _prompts(*wanted: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda jobs: sorted(job["inputs"]["prompt"] for job in jobs) == sorted(wanted)


def _are_of_our_pictures(jobs: list[dict[str, Any]]) -> bool:
    uploaded = [requests.get(job["inputs"]["image_url"], timeout=10).content for job in jobs]
    return [Image.open(BytesIO(content)).size for content in uploaded] == [SIZE] * len(set(uploaded))


#: By words that only they hold.
LESSONS = {
    'DAG("turntable"': Lesson("turntable", jobs=1, files=1, agrees=_are_of_our_pictures),
    'DAG("clip_on_demand"': Lesson("clip_on_demand", jobs=1, files=1, agrees=_are_of_our_pictures),
    'task_id="shots"': Lesson("shots", jobs=2, files=2, agrees=_are_of_our_pictures),
    'DAG("product_clip"': Lesson("product_clip", jobs=2, agrees=_each_feeds_the_next),
    "def night(video)": Lesson(
        "night",
        jobs=2,
        before='clip = KlingGenerateOperator(task_id="clip", '
        'payload=O1ReferenceToVideo(prompt="@Image1", image_urls=[PICTURE]))',
        after="night(clip.output)",
        agrees=_each_feeds_the_next,
    ),
    'in ("red", "blue")': Lesson("colours", jobs=2, agrees=_prompts("@Image1 in red", "@Image1 in blue")),
    'DAG("clips"': Lesson("clips", jobs=2, agrees=_each_feeds_the_next),
    'task_id="keep"': Lesson(
        "keep",
        jobs=2,
        agrees=_prompts(*["@Image1 on a white table"] * 2),
        files=2,
        before='submit = KlingSubmitOperator(task_id="submit", payload=payload)\n'
        'done = KlingSensor(task_id="done", request_id=submit.output)',
    ),
    "store = Store(": Lesson(
        "store",
        jobs=1,
        agrees=_prompts("@Image1 on a white table"),
        files=1,
        after='KlingGenerateOperator(task_id="clip", payload=payload, store=store)',
    ),
}

#: The DAG that what the others have saved starts.
PUBLISH = 'DAG("publish"'

#: What is a test of the user's own, and the DAG that it runs.
USERS_TEST = "def test_my_dag_makes_one_clip("
MY_DAG = """
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.payloads import O3TextToVideo

with DAG("my_dag", schedule=None) as my_dag:
    KlingGenerateOperator(task_id="clip", payload=O3TextToVideo(prompt="A mug on a wooden table", duration="3"))
"""

#: Commands that are not run here, by how they begin: those of the Makefile, which CI calls, and of another tool.
NOT_HERE = ("make ", "pip install ", "export SEGMIND_API_KEY=")
#: A command that goes on until it is ended, for those below it.
SERVES = "python -m airflow_provider_kling.simulator "
#: The exit codes of commands that may have two: `diff` tells by it whether it found a difference.
EXIT_CODES = {"airflow kling models diff": (0, 1), "airflow kling ledger reconcile --month 2026-11": (0, 1)}


def words_in(block: Block) -> list[str]:
    """Return the words by which a block is known: one, where all is well."""
    return [words for words in (*LESSONS, PUBLISH, USERS_TEST) if words in block.text]
