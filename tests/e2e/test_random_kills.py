"""Whatever is killed at random while submits go wrong, three retries deliver every job, paid once."""

from __future__ import annotations

import os
import sys
import time

import pytest

from tests.e2e.kills import RETRIES_THE_KILLED
from tests.e2e.random_kills import assert_all_delivered_once, blow

#: How many task processes are killed.
KILLS = int(os.environ.get("KILLS", "50"))


@pytest.mark.timeout(0)  # it lasts as long as KILLS says
@pytest.mark.skipif(not RETRIES_THE_KILLED, reason="Airflow 3.0 fails a task whose process was killed")
def test_whatever_is_killed_at_random_three_retries_deliver_every_job_once(running, sim, capfd):
    begun = time.monotonic()
    storm = blow(running, sim, KILLS)
    with capfd.disabled():
        sys.stdout.write(
            f"\n\n{storm.kills} random kills over {len(storm.runs)} wanted jobs, {storm.bills.total()} billed, "
            f"{list(storm.runs.values()).count('success')} delivered, {time.monotonic() - begun:.0f} s\n"
        )
    assert_all_delivered_once(storm)
