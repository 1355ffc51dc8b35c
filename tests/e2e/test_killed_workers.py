"""Task processes die by SIGKILL; Airflow retries; every wanted picture is paid once."""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest

from tests.e2e.kills import MOMENTS, carry_out, schedule
from tests.e2e.ours import OURS

#: How many task processes are killed.
KILLS = int(os.environ.get("KILLS", "50"))


@pytest.mark.timeout(0)  # it lasts as long as KILLS says
def test_whenever_a_task_process_is_killed_each_job_is_paid_once_and_every_run_succeeds(running, sim, capfd):
    tally = carry_out(running, sim, OURS, schedule(KILLS))
    jobs = [job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"].startswith(OURS.name)]
    bills = Counter(job["inputs"]["prompt"] for job in jobs)
    lines = [f"{moment:40}{tally.kills[moment]:6}" for moment in MOMENTS]
    lines.append(
        f"{'in all':40}{tally.kills.total():6}   {len(tally.runs)} jobs wanted, {bills.total()} billed, "
        f"{list(tally.runs.values()).count('success')} runs succeeded, {tally.seconds:.0f} s"
    )
    with capfd.disabled():
        sys.stdout.write("\n\n" + "\n".join([f"{'moment':40}{'kills':>6}", *lines]) + "\n")
        for run_id in tally.runs:
            if bills[run_id] != 1:
                requests = [f"{request}" for request in sim.requests() if run_id in str(request)]
                own = [f"{job}" for job in jobs if job["inputs"]["prompt"] == run_id]
                sys.stdout.write("\n".join([*requests, *own, running.task_logs(run_id)]) + "\n")
    assert tally.problems == []
    assert tally.kills.total() == KILLS
    assert set(tally.runs.values()) == {"success"}, tally.runs
    assert bills == Counter(tally.runs.keys()), "a job was paid twice, or not at all"
    adopted = {run_id: running.xcom(run_id, "submit") for run_id in tally.runs}
    assert adopted == {job["inputs"]["prompt"]: job["request_id"] for job in jobs}
