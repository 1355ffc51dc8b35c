"""Each task of a finished chain is cleared as the UI clears it: what is downstream runs again, and nothing else."""

from __future__ import annotations

import pytest

from tests.e2e.chains import PAIRS, dag_file, jobs_of

#: What is billed anew when a task, and all downstream of it, is cleared: a step whose submit was delivered.
BILLED_AGAIN = {"edit": 0, "submit_edit": 1, "video": 1, "submit_video": 2, "image": 2, "submit_image": 3}


@pytest.fixture(scope="module")
def finished(running, sim):
    """Return a finished run of the chain."""
    running.write_dag("cleared_chain", dag_file(PAIRS, "cleared_chain", sim))
    running.trigger("cleared_chain", "cleared_chain-1")
    assert running.run_ends("cleared_chain-1") == "success", running.last_words()
    return "cleared_chain-1"


@pytest.mark.parametrize("task_id", BILLED_AGAIN)
def test_clearing_a_task_with_what_is_downstream_bills_the_steps_from_there_once(running, sim, finished, task_id):
    before = len(jobs_of(sim, finished))
    running.clear("cleared_chain", finished, task_id)
    assert running.run_ends(finished) == "success", running.last_words()
    jobs = jobs_of(sim, finished)
    assert len(jobs) - before == BILLED_AGAIN[task_id]
    # The values downstream are those of the jobs that are the latest, whatever was there before.
    newest = {job["model"]: job for job in jobs}
    for wait, model in (("image", "kling-o1"), ("video", "kling-o1-reference-image-to-video")):
        assert running.xcom(finished, wait, "url") == newest[model]["url"]
    assert newest["kling-o1-video-to-video-edit"]["inputs"]["video_url"] == running.xcom(finished, "video", "url")


@pytest.mark.parametrize("task_id", ["image", "video", "edit"])
def test_clearing_a_wait_alone_bills_nothing(running, sim, finished, task_id):
    before = len(jobs_of(sim, finished))
    running.clear("cleared_chain", finished, task_id, downstream=False)
    assert running.run_ends(finished) == "success", running.last_words()
    assert len(jobs_of(sim, finished)) == before
