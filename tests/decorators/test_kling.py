"""A function that returns a payload, as a task."""

from __future__ import annotations

import pytest

TASKS = """
@task
def prompts():
    return ["a robot", "a beach"]

@task.kling(model="kling-3-text2image", {arguments})
def picture(prompt):
    return {returned}

@task
def names(results):
    return [result["url"] for result in results]

names(picture.expand(prompt=prompts()))
"""
RETURNED = {
    "dict": '{"prompt": prompt, "aspect_ratio": "1:1"}',
    "instance": 'V3TextToImage(prompt=prompt, aspect_ratio="1:1")',
}


@pytest.mark.parametrize("returned", RETURNED.values(), ids=RETURNED)
def test_a_function_returns_the_payload_and_its_task_the_result(sim, conn_id, run_dag, returned):
    run = run_dag(TASKS.format(arguments="", returned=returned))

    assert run.state == "success"
    jobs = sim.ledger()["jobs"]
    assert sorted(job["inputs"]["prompt"] for job in jobs) == ["a beach", "a robot"]
    assert sorted(run.xcom("names", "return_value")) == sorted(job["url"] for job in jobs)


def test_files_of_a_function_s_job_are_kept_with_what_was_sent(sim, conn_id, run_dag, tmp_path):
    run = run_dag(TASKS.format(arguments=f'store="{tmp_path}"', returned=RETURNED["dict"]))
    assert run.state == "success"
    assert len(list(tmp_path.rglob("*.png"))) == 2
    assert all('"prompt": "a ' in sidecar.read_text() for sidecar in tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ('{"promt": prompt}', "prompt: is required"),
        ("None", "payload"),
        ('O3TextToVideo(prompt=prompt, duration="5")', "is not the model of"),
    ],
)
def test_what_a_function_returned_wrongly_is_refused_before_anything_is_paid(
    sim, conn_id, run_dag, capfd, returned, words
):
    run = run_dag(TASKS.format(arguments="retries=3", returned=returned))
    assert run.state == "failed"
    assert sim.ledger()["jobs"] == []
    assert words in capfd.readouterr().out
    assert run.task("picture", 0).try_number == 1
