"""What no simulator does, judged on a real measurement of which one answer is another."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from conform import judgements


@pytest.fixture
def seen(usual):
    """Return a measurement to change."""
    return copy.deepcopy(usual.seen)


def job(seen, name):
    return next(job for job in seen.jobs if job.name == name)


def other(reply, code, **body):
    return dataclasses.replace(reply, status=code, body=body or reply.body)


def test_a_failed_job_that_was_charged(seen):
    job(seen, "failing").row["credits_deduction"] = 0.035
    assert judgements.failed_is_free(seen) == ("broken", "FAILED (HTTP 422); the history says $0.035")


def test_a_failed_job_of_which_nobody_says_what_it_cost(seen):
    del job(seen, "failing").row["credits_deduction"]
    assert judgements.failed_is_free(seen)[0] == "not measured"


def test_a_job_that_was_meant_to_fail_and_did_not(seen):
    failing = job(seen, "failing")
    failing.end = job(seen, "plain").end
    assert judgements.failed_is_free(seen) == ("not measured", "the job that was meant to fail is COMPLETED")


def test_a_job_that_was_meant_to_fail_and_was_refused(seen):
    failing = job(seen, "failing")
    failing.request_id, failing.submit = None, other(failing.submit, 406)
    assert judgements.failed_is_free(seen)[0] == "not measured"
    assert "HTTP 406" in judgements.failed_is_free(seen)[1]


def test_a_result_address_that_does_not_know_a_running_job(seen):
    for name in ("plain", "long"):
        job(seen, name).result = other(job(seen, name).result, 404, error="Request not found")
    verdict, measured = judgements.result_of_running(seen)
    assert verdict == "broken"
    assert "HTTP 404" in measured


def test_a_running_job_that_is_answered_with_another_code_has_its_state_all_the_same(seen):
    for name in ("plain", "long"):
        job(seen, name).result = other(job(seen, name).result, 202, status="PROCESSING")
    assert judgements.result_of_running(seen) == ("supported", "HTTP 202, PROCESSING")


def test_an_unknown_job_that_is_answered_with_an_error_of_the_server(seen):
    seen.unknown_result = other(seen.unknown_result, 500, error="Internal error")
    assert judgements.unknown_request(seen)[0] == "broken"


@pytest.mark.parametrize("field", ["generation_url", "credits_deduction", "model_status"])
def test_a_row_that_tells_another_end_than_the_api(seen, field):
    job(seen, "plain").row[field] = {"credits_deduction": 0.5, "model_status": "FAILED"}.get(field)
    verdict, measured = judgements.row_tells_end(seen)
    assert verdict == "broken"
    assert measured.startswith("plain: the API says")


def test_rows_without_a_time_name_the_fields_that_they_have(seen):
    for one in seen.jobs:
        one.row["made_on"] = one.row.pop("model_created")
    verdict, measured = judgements.stamps(seen)
    assert verdict == "broken"
    assert "made_on" in measured


def test_rows_of_which_the_inputs_cannot_be_read(seen):
    job(seen, "long").row["request_body"] = "prompt=a pebble"
    verdict, measured = judgements.inputs(seen)
    assert verdict == "broken"
    assert measured.startswith("long: cannot be read")


def test_a_parameter_that_was_dropped(seen):
    job(seen, "failing").row["request_body"] = {"prompt": 12.5}
    assert "failing: seed was dropped" in judgements.inputs(seen)[1]


def test_a_list_that_came_as_text_is_evened_out(seen):
    failing = job(seen, "failing")
    told = '[{"reference_image_urls": ["https://example.com/pebble.png"]}]'
    failing.row["request_body"] = {**failing.payload, "elements": told}
    assert judgements.inputs(seen)[0] == "supported"
    assert judgements.verbatim(seen)[0] == "broken"


def test_a_second_page_that_is_the_first_once_more(seen):
    seen.pages = [seen.pages[0], seen.pages[0]]
    assert judgements.order(seen) == ("broken", "page 2 is page 1 once more")


def test_rows_of_one_moment_tell_no_order(seen):
    for page in seen.pages:
        for row in page:
            row["model_created"] = "2026-11-29T02:00:00Z"
    assert judgements.order(seen)[0] == "not measured"


def test_a_row_that_is_found_on_other_days_only(seen):
    job(seen, "plain").seen_at = None
    assert judgements.spare_day(seen)[0] == "broken"


def test_a_model_that_is_named_otherwise(seen):
    for one in seen.jobs:
        one.row["model_name"] = "Kling V3 Text to Image"
    assert judgements.model_name(seen)[0] == "broken"


def test_a_row_that_only_a_search_without_a_model_shows(seen):
    for one in seen.jobs:
        one.seen_at = None
    assert judgements.model_name(seen)[0] == "broken"
    assert judgements.row_in_time(seen)[0] == "not measured"


def test_answers_without_a_date_measure_no_clock(seen):
    seen.replies = [dataclasses.replace(reply, headers={}) for reply in seen.replies]
    assert judgements.clock(seen)[0] == "not measured"
    assert judgements.stamps(seen)[0] == "not measured"


def test_a_measurement_of_nothing_claims_nothing(seen):
    nothing = dataclasses.replace(
        seen, jobs=[], rows=(), pages=[], spans=[], replies=[], unknown_status=None, unknown_result=None
    )
    from conform.assumptions import findings

    assert {finding.verdict for finding in findings(nothing)} == {"not measured"}
