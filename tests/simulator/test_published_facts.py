"""The published facts, and what the two checks make of a request."""

from __future__ import annotations

import contextlib
import json
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.simulator.catalogue import Catalogue, RefusedError

CATALOGUE = Catalogue.load()
FILE = files("airflow_provider_kling.simulator").joinpath("catalogue.json")


@pytest.mark.parametrize("slug", sorted(CATALOGUE.models))
def test_every_model_has_what_a_job_needs(slug):
    model = CATALOGUE.get(slug)
    assert model.output in ("image", "video", "voice_id")
    assert 20 < model.latency < 900
    assert 0 < model.cost < 10
    assert model.row()["parameters_schema"]["type"] == "object"


@pytest.mark.parametrize(
    ("slug", "duration", "price"),
    [
        ("kling-2", "5", 1.75),
        ("kling-2", "10", 3.5),
        ("kling-2.5-turbo", None, 0.88),  # its default is 10
        ("kling-o3-text2video", "3", 0.63),
        ("kling-o3-text2video", 9, 2.94),
        ("kling-o3-text2video", "15", 5.25),
    ],
)
def test_a_longer_video_costs_more_where_the_page_says_from_what_to_what(slug, duration, price):
    assert CATALOGUE.get(slug).price({"prompt": "p", "duration": duration}) == price


def test_a_model_without_published_prices_costs_its_average_whatever_the_length():
    model = CATALOGUE.get("kling-o1-image-to-video")
    assert {model.price({"duration": duration}) for duration in (None, 5, 10)} == {0.9086}


@pytest.mark.parametrize("slug", sorted(CATALOGUE.models))
def test_what_is_billed_is_within_what_the_payload_classes_estimate(slug):
    model = CATALOGUE.get(slug)
    duration = model.parameter("duration")
    for seconds in duration.enum if duration else ():
        estimate = get_payload_class(slug).model_construct(duration=str(seconds)).estimate()
        if estimate.low is not None:
            assert estimate.low <= model.price({"duration": seconds}) <= estimate.high


@pytest.mark.parametrize("slug", sorted(CATALOGUE.models))
def test_every_default_and_every_published_example_is_within_its_own_rules(slug):
    model = CATALOGUE.get(slug)
    defaults = {row.name: row.default for row in model.parameters if row.default is not None}
    for name, value in {**defaults, **model.example}.items():
        parameter = model.parameter(name)
        assert parameter is not None, name
        assert parameter.allows(value), name
        assert parameter.flaw(value) is None, name


def test_all_38_published_models_are_there():
    assert len(CATALOGUE.models) == 38


def test_sources_are_public_addresses():
    rows = json.loads(FILE.read_text("utf-8"))["models"]
    assert all(source.startswith("https://") for row in rows for source in row["sources"])
    assert all(row["sources"] for row in rows)


def test_five_and_the_text_five_are_the_same_duration():
    for model, sent in (("kling-o1-image-to-video", "5"), ("kling-o3-text2video", 5)):
        duration = CATALOGUE.get(model).parameter("duration")
        assert duration.allows(sent)
        assert duration.flaw(sent) is None


@pytest.mark.parametrize("sent", [7, "7", "five", True, [5], None])
def test_nothing_but_the_declared_durations_is_allowed(sent):
    assert not CATALOGUE.get("kling-o1-image-to-video").parameter("duration").allows(sent)


def test_elements_of_o1_may_be_a_list_or_its_json_text():
    model = CATALOGUE.get("kling-o1-reference-image-to-video")
    asked = {"prompt": "p", "image_urls": ["https://example.com/a.png"]}
    element = {"frontal_image_url": "https://example.com/b.png"}
    assert model.flaw({**asked, "elements": [element]}) is None
    assert model.flaw({**asked, "elements": json.dumps([element])}) is None
    assert model.flaw({**asked, "elements": 5}) is not None


def test_an_unknown_parameter_fails_the_run_only_where_the_table_is_complete():
    complete, incomplete = CATALOGUE.get("kling-o1"), CATALOGUE.get("kling-2.6")
    assert "sparkle" in complete.flaw({"prompt": "p", "image_urls": ["u"], "sparkle": 1})
    assert incomplete.flaw({"prompt": "p", "sparkle": 1}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": 5},
        {"prompt": "  "},
        {"cfg_scale": 1.5},
        {"cfg_scale": -0.1},
        {"cfg_scale": "0.5"},
        {"generate_audio": "yes"},
        {"multi_prompt": "one"},
        {"multi_prompt": ["one"]},
        {"multi_prompt": [{"prompt": "p"}] * 6},
        {"multi_prompt": [{"duration": "5"}]},
        {"multi_prompt": [{"prompt": "p" * 513}]},
    ],
)
def test_what_the_gateway_does_not_look_at_fails_the_run(wrong):
    model = CATALOGUE.get("kling-3-standard-text2video")
    asked = {"prompt": "p", **wrong}
    model.admit(asked)
    assert model.flaw(asked)


def test_an_optional_parameter_may_be_null():
    model = CATALOGUE.get("kling-o1-video-to-video-edit")
    asked = {"prompt": "p", "video_url": "https://example.com/v.mp4", "elements": None}
    model.admit(asked)
    assert model.flaw(asked) is None


def test_a_retired_model_is_gone_and_shown_as_such():
    catalogue = Catalogue.load(retired=["kling-2"])
    with pytest.raises(RefusedError) as refused:
        catalogue.get("kling-2")
    assert refused.value.status == 410
    assert catalogue.models["kling-2"].row()["is_depreciated"] is True


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("slug", ["kling-o1", "kling-o3-video2video-edit", "kling-3-standard-text2video", "kling-hug"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_is_sent_is_refused_found_wanting_or_let_through(slug, data):
    model = CATALOGUE.get(slug)
    names = st.sampled_from([row.name for row in model.parameters] + ["sparkle"])
    body = data.draw(st.dictionaries(names, ANYTHING))
    with contextlib.suppress(RefusedError):
        model.admit(body)
        flaw = model.flaw(body)
        assert flaw is None or isinstance(flaw, str)


def test_a_number_too_large_for_a_float_is_only_wrong():
    model = CATALOGUE.get("kling-hug")
    asked = {"first_reference_image": "u", "second_reference_image": "u"}
    for duration in (10**400, "inf", "nan", "1e999"):
        assert model.flaw({**asked, "duration": duration}) == "duration must be integer"
