"""Names of files: what a template gives, and what never becomes a path."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.storage.names import DEFAULT_NAME, PLACEHOLDERS, check_template, render
from airflow_provider_kling.storage.store import Store

VALUES = {
    "dag_id": "shots",
    "run_id": "manual__2026-11-21T06:59:00+00:00",
    "task_id": "film",
    "map_index": -1,
    "index": 0,
    "request_id": "r-1",
    "model": "kling-o1",
}


def test_the_usual_name_has_no_character_that_a_store_or_a_shell_minds():
    name = render(DEFAULT_NAME, VALUES)
    assert name.file("mp4") == "shots/manual__2026-11-21T06-59-00-00-00/film-0-0.mp4"
    assert name.sidecar == "shots/manual__2026-11-21T06-59-00-00-00/film-0-0.json"


def test_a_mapped_task_has_a_name_for_each_index():
    assert render(DEFAULT_NAME, {**VALUES, "map_index": 3}).file("png").endswith("film-3-0.png")


def test_a_fixed_extension_is_left_as_it_is():
    name = render("{request_id}.mp4", VALUES)
    assert (name.file("mov"), name.sidecar) == ("r-1.mp4", "r-1.mp4.json")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("/etc/{index}.{ext}", "absolute"),
        ("../{index}.{ext}", "'..'"),
        ("a/../{index}.{ext}", "'..'"),
        ("a//{index}.{ext}", "empty part"),
        ("{index}.{ext}/", "at the end only"),
        ("a/", "empty part"),
        ("", "empty part"),
        ("a\\{index}.{ext}", "not safe"),
        ("a\x00{index}.{ext}", "not safe"),
        ("a\n.{ext}", "not safe"),
        ("a*.{ext}", "not safe"),
        ("~root/{index}", "not safe"),
        ("{when}.{ext}", r"\{when\} is no placeholder; there are \{dag_id\}"),
        ("{index.__class__}.{ext}", "no placeholder"),
        ("{ext}/{index}.{ext}", "at the end only"),
        ("{index", "not safe"),
    ],
)
def test_what_can_give_no_safe_name_is_refused_when_the_dag_is_parsed(template, words):
    with pytest.raises(SegmindInputError, match=words):
        check_template(template)


def test_a_template_of_jinja_is_checked_when_it_is_filled_in():
    check_template("{{ ds }}/{{ params['where'] }}/{index}.{ext}")
    with pytest.raises(SegmindInputError, match=r"'\.\.'"):
        render("../{index}.{ext}", VALUES)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.fixed_dictionaries({name: st.text() for name in PLACEHOLDERS}))
def test_no_value_leads_out_of_the_destination(values):
    stem = render("a/{dag_id}/{run_id}/{task_id}-{map_index}/{index}{request_id}{model}.{ext}", values).stem
    path = posixpath.normpath(f"/root/{stem}")
    assert path == f"/root/{stem}"
    assert path.count("/") == 6
    assert all(len(part.encode()) < 255 for part in path.split("/"))
    assert not set(path) & set("\0\\*?[]:\n")


@pytest.mark.parametrize(
    "destination", ["data", "", None, "s3://b/../c", "s3://b/*", "s3://b/a?x=1", "file:///a\x00b", "./x"]
)
def test_a_destination_that_cannot_work_is_refused_when_the_dag_is_parsed(destination):
    with pytest.raises(SegmindInputError, match="destination"):
        Store(destination)


def test_a_storage_without_a_filesystem_says_what_to_install():
    with pytest.raises(SegmindInputError, match="install the provider package"):
        Store("nosuch://bucket/x").folder()


def test_a_limit_must_leave_room():
    with pytest.raises(SegmindInputError, match="max_bytes"):
        Store("/data", max_bytes=0)
