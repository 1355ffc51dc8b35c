"""The classes against the published facts, which the simulator holds in a data file of its own."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from airflow_provider_kling import payloads
from airflow_provider_kling.payloads import table
from airflow_provider_kling.segmind.errors import KlingPayloadError

CATALOGUE = json.loads(files("airflow_provider_kling.simulator").joinpath("catalogue.json").read_text("utf-8"))
MODELS = {model["slug"]: model for model in CATALOGUE["models"]}
ROWS = [(slug, row) for slug, model in MODELS.items() for row in model["parameters"]]
PAGE_ROWS = [(slug, row) for slug, row in ROWS if row["confidence"] == "page"]

KINDS = {
    "string": {"text", "URL", "seconds"},
    "integer": {"seconds", "whole number"},
    "number": {"number"},
    "boolean": {"true or false"},
    "string[]": {"list of text", "list of URL"},
    "object[]": {"list of Element", "list of Shot", "list of V3Shot"},
}
# What the classes call a fact's origin, and the data file's word for it.
SEEN = {
    "page": "the model's page",
    "page_partly": "the model's page, in part; the rest as for its sibling",
    "example": "the page's example request",
    "older_page": "an older edition of the page",
    "landing_page": "the model's landing page",
    "sibling": "a sibling model's page",
    "client_code": "a public client's code",
    "sibling_client_code": "a public client's code",
}


def example_value(row):
    """Return a value that the row allows."""
    if "enum" in row:
        return row["enum"][-1]
    is_media = row.get("format") == "uri" or "image" in row["name"]
    return {
        "string": "https://x.example/a.png" if is_media else "a fox",
        "integer": 5,
        "number": row.get("maximum", 1),
        "boolean": True,
        "string[]": ["https://x.example/a.png"],
        "object[]": [{"frontal_image_url": "https://x.example/a.png"}]
        if row["name"] == "elements"
        else [{"prompt": "a fox"}],
    }[row["type"]]


def required_only(model):
    return {row["name"]: example_value(row) for row in model["parameters"] if row["required"]}


def parameter_of(slug, name):
    return {row.name: row for row in table.parameters(payloads.get_payload_class(slug))}[name]


def test_there_is_a_class_for_each_model_of_the_catalogue_and_no_other():
    assert len(MODELS) == 38
    assert set(payloads.known_slugs()) == set(MODELS)
    assert len(PAGE_ROWS) > 100


@pytest.mark.parametrize("slug", MODELS)
def test_a_class_tells_its_models_title_kind_latency_and_price_as_published(slug):
    payload_class, model = payloads.get_payload_class(slug), MODELS[slug]
    assert payload_class.title == model["title"]
    assert payload_class.output == ("voice" if model["output"] == "voice_id" else model["output"])
    assert payload_class.usual_latency == pytest.approx(model["latency_seconds"]["average"], abs=0.06)
    assert payload_class.usual_cost == model["price_usd"]["average"]
    ranges = [(price["low"], price["high"]) for price in model["price_usd"]["page"] if "low" in price]
    assert payload_class.price_range == (ranges[0] if ranges else None)
    assert payload_class.is_complete == model["parameters_complete"]
    assert payload_class.__doc__.splitlines()[0] or payload_class.__doc__.splitlines()[1]


@pytest.mark.parametrize("slug", MODELS)
def test_a_class_has_the_published_parameters_and_no_other(slug):
    published = [row["name"] for row in MODELS[slug]["parameters"]]
    assert sorted(payloads.get_payload_class(slug).model_fields) == sorted(published)


@pytest.mark.parametrize(("slug", "row"), PAGE_ROWS, ids=[f"{slug}-{row['name']}" for slug, row in PAGE_ROWS])
def test_each_row_read_on_a_models_own_page_stands_in_its_class(slug, row):
    payload_class, parameter = payloads.get_payload_class(slug), parameter_of(slug, row["name"])
    given = required_only(MODELS[slug])

    # Requiredness, as behaviour: without it the payload is refused, and the refusal names it.
    given.pop(row["name"], None)
    if row["required"]:
        with pytest.raises(KlingPayloadError) as caught:
            payload_class(**given)
        assert caught.value.fields == [row["name"]]
    else:
        assert payload_class(**given)

    # Default. A required parameter has none, though one page shows one for its prompt.
    if "default" in row and not row["required"]:
        assert str(parameter.default) == str(row["default"])
    elif not row["required"]:
        assert parameter.default is None

    # Allowed values: just those, and the nearest others are refused.
    assert [str(value) for value in parameter.allowed] == [str(value) for value in row.get("enum", [])]
    for value in row.get("enum", []):
        assert payload_class(**required_only(MODELS[slug]), **({row["name"]: value} if not row["required"] else {}))
    if "enum" in row:
        with pytest.raises(KlingPayloadError):
            payload_class(**{**required_only(MODELS[slug]), row["name"]: "no such value"})

    kinds = KINDS[row["type"]] | ({"list of Element"} if row["name"] == "elements" else set())
    assert parameter.kind in kinds
    assert ("URL" in parameter.kind) == (row.get("format") == "uri" or row["name"] == "image_urls")


@pytest.mark.parametrize(("slug", "row"), ROWS, ids=[f"{slug}-{row['name']}" for slug, row in ROWS])
def test_how_sure_a_fact_is_stands_in_the_class(slug, row):
    seen = parameter_of(slug, row["name"]).seen
    known_by_name_only = {"the page's example request", "a sibling model's page"}
    assert seen in (known_by_name_only if row["confidence"] == "page_name_only" else {SEEN[row["confidence"]]})


def limits_of_rows():
    for slug, row in ROWS:
        for limit in ("minimum", "maximum", "max_items"):
            if limit in row:
                yield pytest.param(slug, row, limit, id=f"{slug}-{row['name']}-{limit}")


@pytest.mark.parametrize(("slug", "row", "limit"), limits_of_rows())
def test_a_limit_holds_on_both_of_its_sides(slug, row, limit):
    payload_class, given = payloads.get_payload_class(slug), required_only(MODELS[slug])
    if limit == "max_items":
        (item,) = example_value(row)
        inside, outside = [item] * row[limit], [item] * (row[limit] + 1)
    else:
        inside, outside = row[limit], row[limit] + (-0.01 if limit == "minimum" else 0.01)
    assert payload_class(**{**given, row["name"]: inside})
    with pytest.raises(KlingPayloadError) as caught:
        payload_class(**{**given, row["name"]: outside})
    assert caught.value.fields == [row["name"]]


@pytest.mark.parametrize("slug", MODELS)
def test_the_published_example_values_are_good_and_are_sent_as_they_stand(slug):
    example = {**required_only(MODELS[slug]), **MODELS[slug]["example"]}
    if "@Image2" in example.get("prompt", ""):
        example["image_urls"] = example["image_urls"] * 2
    assert payloads.get_payload_class(slug).from_rendered(example).to_request() == example
