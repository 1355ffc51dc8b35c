from __future__ import annotations

import pytest

from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.payloads import known_slugs
from airflow_provider_kling.segmind.errors import SegmindResponseError


def test_the_live_list_is_read_with_each_models_parameters(sim, conn_id):
    listed = {model.slug: model for model in SegmindHook(conn_id).list_models()}
    assert set(known_slugs()) <= set(listed)
    assert not listed["kling-o1"].is_retired
    assert "image_urls" in listed["kling-o1"].parameter_names


@pytest.mark.parametrize(
    "wrap", [lambda rows: rows, lambda rows: {"a": 1, "tags": [{"a": 1}], "none": [], "Any Key": rows}]
)
def test_the_list_is_found_under_whatever_key_it_stands_and_broken_rows_are_left_out(sim, conn_id, wrap):
    rows = [
        {"slug": "kling-4", "is_depreciated": True, "parameters_schema": "?"},
        {"slug": "other", "is_depreciated": {}},
        {"name": "no slug"},
        None,
    ]
    sim.order_fault("respond", path="/inference-model-information/*", status=200, body=wrap(rows))
    model, other = SegmindHook(conn_id).list_models()
    assert not other.is_retired
    assert (model.slug, model.is_retired, model.parameter_names) == ("kling-4", True, None)


@pytest.mark.parametrize("body", [{"error": "x"}, [], {"data": []}, [{"name": "x"}]])
def test_a_list_without_models_is_an_error_and_not_the_end_of_all_models(sim, conn_id, body):
    sim.order_fault("respond", path="/inference-model-information/*", status=200, body=body)
    with pytest.raises(SegmindResponseError, match="model list"):
        SegmindHook(conn_id).list_models()
