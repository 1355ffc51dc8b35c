"""
DAG files of the main job, for every supported Airflow, and the task downstream that judges what it is handed.

The judge is a task as a user writes it: it takes the values as arguments, through XComArgs and ``ti.xcom_pull``, and
fails on any type or content that is not as documented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_kling.simulator import Simulator

HEADER = """
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG, task, task_group

from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image, O1ReferenceToVideo, O1VideoEdit
from airflow_provider_kling.sensors.kling import KlingSensor

PICTURE = {picture!r}
DEFAULTS = {{"retries": 2, "retry_delay": timedelta(seconds=1)}}


def judge(result, *, url=None, urls=None, cost=None, metrics=None, bill=None, model=None):
    assert type(result) is dict, repr(result)
    assert {{"request_id", "status", "url", "urls", "cost", "metrics", "output"}} <= result.keys(), sorted(result)
    for name, value, wanted in (
        ("url", url, str), ("urls", urls, list), ("cost", cost, float), ("metrics", metrics, dict)
    ):
        assert type(result[name]) is wanted, (name, result[name])
        assert value is None or (type(value) is wanted and value == result[name]), (name, value, result[name])
    assert result["url"].startswith("http://"), result["url"]
    assert result["urls"] == [result["url"]], result["urls"]
    assert type(result["request_id"]) is str and len(result["request_id"]) > 8, result["request_id"]
    assert result["status"] == "COMPLETED", result["status"]
    assert type(result["metrics"]["total_time"]) is float, result["metrics"]
    if bill is not None:
        assert type(bill) is dict and bill["cost"] == result["cost"], bill
        assert bill["request_id"] == result["request_id"], bill
    if model is not None:
        assert model == result.get("model", model) and type(model) is str, model


@task(retries=0)
def judged(result, url, urls, cost, metrics, wait, ti=None):
    def pulled(key):
        return ti.xcom_pull(task_ids=wait, key=key)

    judge(result, url=url, urls=urls, cost=cost, metrics=metrics, bill=pulled("kling_bill"))
    judge(
        ti.xcom_pull(task_ids=wait), url=pulled("url"), urls=pulled("urls"), cost=pulled("cost"),
        metrics=pulled("metrics"),
    )
    return result["request_id"]


def judge_of(task_id, wait):
    output = wait.output
    judged.override(task_id=task_id)(
        output, output["url"], output["urls"], output["cost"], output["metrics"], wait.task_id
    )
"""

#: Picture, video, edit: each step a submit and a sensor.
PAIRS = """
with DAG({dag_id!r}, schedule=None, default_args=DEFAULTS):
    submit_image = KlingSubmitOperator(
        task_id="submit_image",
        payload=O1Image(prompt="@Image1 {{{{ run_id }}}}", image_urls=[PICTURE], aspect_ratio="16:9"),
    )
    image = KlingSensor(task_id="image", request_id=submit_image.output{arguments})
    submit_video = KlingSubmitOperator(
        task_id="submit_video",
        payload=O1ReferenceToVideo(
            prompt="@Image1 {{{{ run_id }}}}", image_urls=[image.output["url"]], duration="5"
        ),
    )
    video = KlingSensor(task_id="video", request_id=submit_video.output{arguments})
    submit_edit = KlingSubmitOperator(
        task_id="submit_edit", payload=O1VideoEdit(prompt="@Video1 {{{{ run_id }}}}", video_url=video.output["url"])
    )
    edit = KlingSensor(task_id="edit", request_id=submit_edit.output{arguments})
    for wait in (image, video, edit):
        judge_of("judge_" + wait.task_id, wait)
"""

#: The same, each step one task.
GENERATES = """
with DAG({dag_id!r}, schedule=None, default_args=DEFAULTS):
    image = KlingGenerateOperator(
        task_id="image",
        payload=O1Image(prompt="@Image1 {{{{ run_id }}}}", image_urls=[PICTURE], aspect_ratio="16:9"),
    )
    video = KlingGenerateOperator(
        task_id="video",
        payload=O1ReferenceToVideo(
            prompt="@Image1 {{{{ run_id }}}}", image_urls=[image.output["url"]], duration="5"
        ),
    )
    edit = KlingGenerateOperator(
        task_id="edit", payload=O1VideoEdit(prompt="@Video1 {{{{ run_id }}}}", video_url=video.output["url"])
    )
    for wait in (image, video, edit):
        judge_of("judge_" + wait.task_id, wait)
"""


def dag_file(body: str, dag_id: str, sim: Simulator, *, arguments: str = "") -> str:
    """
    Return a DAG file.

    :param arguments: more arguments for each wait, such as ``mode="poke"``.
    """
    picture = f"{sim.url}/simulator/inputs/robot.png"
    arguments = f", {arguments}" if arguments else ""
    return HEADER.format(picture=picture) + body.format(dag_id=dag_id, arguments=arguments)


def jobs_of(sim: Simulator, run_id: str) -> list[dict[str, Any]]:
    """Return the jobs billed for a run, whose prompts name it, in the order in which they were submitted."""
    return [job for job in sim.ledger()["jobs"] if run_id in str(job["inputs"].get("prompt"))]


def assert_one_chain(sim: Simulator, run_id: str) -> None:
    """Check that a run paid for one picture, one video of it and one edit of that, and for nothing else."""
    image, video, edit = jobs_of(sim, run_id)
    assert video["inputs"]["image_urls"] == [image["url"]]
    assert edit["inputs"]["video_url"] == video["url"]
