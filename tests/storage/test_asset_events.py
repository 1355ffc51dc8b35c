"""Which asset a folder is, wherever it is written."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, task

from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.storage.asset_events import folder_asset, outlets_for
from airflow_provider_kling.storage.store import Store
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
from tests.conftest import AIRFLOW_3

PAYLOAD = O1Image(prompt="@Image1", image_urls=["https://x/y.png"])


@pytest.mark.parametrize(
    ("destination", "uri"),
    [
        ("s3://bucket/clips", "s3://bucket/clips"),
        ("s3://bucket/clips/", "s3://bucket/clips"),
        ("s3://my_conn@bucket/clips", "s3://bucket/clips"),
        ("S3://bucket/Clips", "s3://bucket/Clips"),
        ("s3://bucket", "s3://bucket"),
        ("/data/clips", "file:///data/clips"),
        ("file:///data/clips//", "file:///data/clips"),
        ("file:/data/clips", "file:///data/clips"),
        ("file:///data/my clips", "file:///data/my clips"),
        ("file:///data/café/東京", "file:///data/caf%C3%A9/%E6%9D%B1%E4%BA%AC"),
    ],
)
def test_a_folder_is_one_asset_however_it_is_written(destination, uri):
    assert folder_asset(destination) == Asset(uri)


@pytest.mark.parametrize(
    ("destination", "uri"),
    [
        ("s3://bucket/clips/{{ ds }}", "s3://bucket/clips"),
        ("s3://bucket/clips/{{ ds }}/{{ run_id }}/x", "s3://bucket/clips"),
        ("s3://bucket/clips-{{ params.season }}/x", "s3://bucket"),
        ("s3://conn@bucket/{% if true %}a{% endif %}", "s3://bucket"),
        ("/data/{{ ds }}", "file:///data"),
        ("{{ params.folder }}", None),
        ("{{ params.folder }}/clips", None),
        ("s3://{{ params.bucket }}/clips", None),
        ("s3://bucket-{{ params.env }}/clips", None),
        ("file:///{{ params.folder }}", None),
    ],
)
def test_a_folder_below_a_template_counts_as_the_one_above_it_so_that_every_run_has_the_same(destination, uri):
    assert outlets_for(destination, []) == ([Asset(uri)] if uri else [])


def test_a_folder_that_another_task_makes_is_not_known_before():
    with DAG("x", schedule=None):

        @task
        def folder():
            return "s3://bucket/clips"

        keep = SegmindToObjectStorageOperator(task_id="keep", result="x", destination=folder())
    assert keep.outlets == []


@pytest.mark.parametrize("outlets", [[Asset("films")], Asset("films"), [AssetAlias("films")]])
def test_the_author_names_the_asset(outlets):
    named = outlets if isinstance(outlets, list) else [outlets]
    with DAG("x", schedule=None):
        one = KlingGenerateOperator(task_id="one", payload=PAYLOAD, store="/data", outlets=outlets)
        many = KlingGenerateOperator.partial(task_id="many", store="/data", outlets=outlets).expand(payload=[PAYLOAD])
    assert one.outlets == many.outlets == named


def test_airflow_knows_the_folder_of_a_mapped_task_before_it_runs():
    with DAG("x", schedule=None):
        generate = KlingGenerateOperator.partial(task_id="a", store=Store("/data/{{ ds }}")).expand(payload=[PAYLOAD])
        keep = SegmindToObjectStorageOperator.partial(task_id="b", destination="/data").expand(result=["x"])

        @task.kling(model="kling-o1", store="/data")
        def picture(prompt):
            return {"prompt": prompt, "image_urls": ["https://x/y.png"]}

        decorated = picture.expand(prompt=["@Image1"]).operator
        nowhere = KlingGenerateOperator.partial(task_id="c").expand(payload=[PAYLOAD])
    assert generate.outlets == keep.outlets == decorated.outlets == [Asset("file:///data")]
    assert nowhere.outlets == []


@pytest.mark.parametrize("make", [KlingGenerateOperator, KlingGenerateOperator.partial])
@pytest.mark.parametrize("folder", ["s3://bucket/" + "x" * 3000, "relative/folder"])
def test_a_folder_that_cannot_be_an_asset_shows_when_the_dag_file_is_parsed(make, folder):
    with pytest.raises(SegmindInputError, match="destination: "):
        make(task_id="x", payload=PAYLOAD, store=folder)


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 makes no such object")
def test_an_asset_that_airflow_could_not_store_shows_when_the_dag_file_is_parsed():
    with pytest.raises(SegmindInputError, match="write 'file:///caf%C3%A9'"):
        KlingGenerateOperator(task_id="x", payload=PAYLOAD, store="/data", outlets=[Asset("file:///café")])
