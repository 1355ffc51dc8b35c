"""Each assumption is seen to break where a simulator breaks it, over real sockets, and no other one with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from airflow_provider_kling.simulator import Simulator
from conform.assumptions import found_again

#: What the history alone can tell.
OF_ROWS = {"row_while_running", "ids", "model_name", "order", "spare_day", "last_day", "day_zone", "stamps", "inputs"}


def test_a_simulator_as_it_is_supports_every_assumption(usual):
    assert usual.named("supported") == usual.findings.keys()
    assert found_again(usual.seen) == (3, 3)


@pytest.mark.parametrize(
    ("history", "broken", "said", "found_jobs"),
    [
        ({"order": "oldest_first"}, "order", "row 2 is newer than row 1", 3),
        ({"order": "mixed_pages"}, "order", "row 3 is newer than row 2", 3),
        ({"includes_last_day": False}, "last_day", "is not there", 3),
        ({"stamp_zone": 330}, "stamps", "plain: +5:30:00 from the submit", 0),
        ({"stamp_zone": -480}, "stamps", "plain: -8:00:00 from the submit", 0),
        ({"own_ids": True}, "ids", "plain: the API says", 3),
        ({"strips_text": True}, "verbatim", "plain: prompt came without the spaces at its ends", 3),
        ({"numbers_as_text": True}, "verbatim", "failing: prompt came as the text '12.5'", 3),
        ({"cuts_text_at": 255}, "inputs", "long: prompt was cut to 255 of 2000 characters", 2),
        ({"adds_defaults": True}, "inputs", "plain: resolution was added: '1K'", 0),
    ],
)
def test_a_history_that_behaves_otherwise_breaks_one_assumption(measured, history, broken, said, found_jobs):
    there = measured(**history)
    assert there.named("broken") == {broken}
    assert there.named("not measured") == {"rate_limit"}
    assert said in there.said(broken)
    assert found_again(there.seen) == (found_jobs, 3)


def test_days_of_another_zone_are_seen_where_the_time_of_day_tells_them(measured):
    later = datetime.now(tz=UTC).hour >= 12
    there = measured(day_zone=13 * 60 if later else -13 * 60)
    assert there.named("broken") == {"day_zone"}
    assert there.findings["spare_day"].verdict == "supported"


def test_rows_that_come_later_than_the_grace_break_it_and_leave_the_rest_unmeasured(measured):
    there = measured(scale=600, row_after=900)  # a grace of one second
    assert there.named("broken") == {"row_in_time"}
    assert there.said("row_in_time").startswith("plain: not within 1.0 s; long: not within 1.0 s; failing: ")
    assert there.named("not measured") >= OF_ROWS
    assert found_again(there.seen) == (0, 3)


def test_rows_that_come_within_the_grace_but_after_the_jobs_do_not_tell_whether_they_come_before_the_end(measured):
    there = measured(row_after=1)
    assert there.named("broken") == set()
    assert there.named("not measured") == {"row_while_running", "rate_limit"}
    assert "plain: 1." in there.said("row_in_time")


def test_a_clock_that_is_ahead_is_told_from_rows_that_are_stamped_wrong(measured):
    there = measured(ahead=1200)
    assert there.named("broken") == {"clock"}
    assert re.search(r"is \+0:(19|20):\d\d off", there.said("clock"))
    assert found_again(there.seen) == (0, 3)


def test_a_history_that_cannot_be_read_breaks_nothing_and_measures_nothing(take):
    with Simulator(time_scale=600, requests_per_minute=0, height=72) as simulator:
        path = "/inference-request/request-history*"
        simulator.order_fault("respond", path=path, status=503, body={"error": "Try later"}, times=10_000)
        there = take(simulator, 600)
    assert there.named("not measured") >= OF_ROWS | {"row_in_time"}
    assert there.named("broken") == set()


def test_a_status_that_does_not_know_a_job_yet_is_seen(take):
    with Simulator(time_scale=100, requests_per_minute=0, height=72) as simulator:
        lost = {"status": 404, "body": {"error": "Request not found"}}
        simulator.order_fault("respond", method="GET", path="/v2/requests/*/status", **lost)
        there = take(simulator)
    assert there.named("broken") == {"status_of_running"}
    assert "plain: HTTP 404" in there.said("status_of_running")


def test_a_rate_limit_that_names_no_time_is_seen(take):
    with Simulator(time_scale=100, requests_per_minute=0, height=72) as simulator:
        simulator.order_fault("respond", path="/v1/get-user-credits", status=429, headers={"Retry-After": "60"})
        there = take(simulator, ask_for_limit=5)
    assert there.named("broken") == {"rate_limit"}
    assert there.said("rate_limit").endswith("headers: retry-after")
    assert there.seen.limit_asked == 1


def test_a_job_that_is_not_accepted_leaves_the_others_to_be_measured(take):
    with Simulator(time_scale=100, requests_per_minute=0, height=72) as simulator:
        simulator.order_fault("delay", method="POST", seconds=0)  # spends the first submit
        simulator.order_fault("reset_after", method="POST")
        there = take(simulator)
    assert [job.name for job in there.seen.jobs] == ["plain", "failing"]
    assert there.named("broken") == set()
