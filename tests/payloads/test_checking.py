from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from airflow_provider_kling.payloads import O1Image, O1VideoEdit
from airflow_provider_kling.payloads.request import Request, check_rendered, check_unrendered
from airflow_provider_kling.payloads.templates import rendered_time
from airflow_provider_kling.segmind.errors import KlingPayloadError, SegmindInputError

PICTURE = "https://x.example/a.png"
GOOD = {"prompt": "x", "image_urls": [PICTURE]}


def test_an_instance_brings_its_model():
    assert check_unrendered(O1Image(**GOOD), None) == (GOOD, "kling-o1")
    assert check_unrendered(O1Image(**GOOD), "kling-o1") == (GOOD, "kling-o1")
    with pytest.raises(SegmindInputError, match="leave model out"):
        check_unrendered(O1Image(**GOOD), "kling-o1-video-to-video-edit")


def test_a_dict_needs_a_model_and_is_checked_by_its_class():
    assert check_unrendered(GOOD, "kling-o1") == (GOOD, "kling-o1")
    with pytest.raises(SegmindInputError, match="model: is needed"):
        check_unrendered(GOOD, None)
    with pytest.raises(KlingPayloadError, match="did you mean 'image_urls'"):
        check_unrendered({"prompt": "x", "image_url": [PICTURE]}, "kling-o1")


@pytest.mark.parametrize("payload", [[GOOD], "prompt", 7, None, {1: "x"}, {}, "None"])
def test_what_is_no_dict_of_parameters_is_refused_in_one_line(payload):
    for check in (check_unrendered, check_rendered):
        with pytest.raises(KlingPayloadError, match="payload: ") as caught:
            check(payload, "kling-o1")
        assert "\n" not in str(caught.value)


def test_templates_of_the_whole_payload_and_of_the_model_wait_for_rendering():
    assert check_unrendered("{{ x }}", "kling-o1") == ("{{ x }}", "kling-o1")
    assert check_unrendered([GOOD], "{{ x }}") == ([GOOD], "{{ x }}")


def test_json_text_is_what_a_template_of_a_whole_payload_renders_to():
    assert check_rendered('{"prompt": "x", "image_urls": ["https://x.example/a.png"]}', "kling-o1").parameters == GOOD


def test_a_model_without_a_class_is_passed_through_but_not_with_empty_renderings():
    assert check_rendered({"anything": 1}, "kling-99") == Request("kling-99", {"anything": 1}, None)
    for left_over in (None, "", "None"):
        with pytest.raises(KlingPayloadError, match="image rendered to"):
            check_rendered({"image": left_over}, "kling-99")


def test_lazy_sequences_that_mapped_xcoms_resolve_to_become_lists():
    class Lazy(Sequence):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return [PICTURE][index]

    assert check_rendered({"prompt": "x", "image_urls": Lazy()}, "kling-o1").parameters == GOOD


def test_none_for_an_optional_parameter_means_not_given():
    request, _ = check_unrendered(O1VideoEdit(prompt="x", video_url=PICTURE, elements=None), None)
    assert request == {"prompt": "x", "video_url": PICTURE}


def test_a_rendered_time_without_a_zone_is_local_and_what_renders_to_nothing_is_none():
    assert rendered_time("2026-11-29T06:00:00+00:00") == datetime(2026, 11, 29, 6, tzinfo=UTC)
    assert rendered_time("2026-11-29T06:00:00").tzinfo is not None
    assert [rendered_time(value) for value in (None, "", "None")] == [None] * 3
