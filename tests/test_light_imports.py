"""Parsing a DAG loads no library that only a running task needs."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from airflow.providers.common.compat.sdk import DAG

# Airflow 2 loads some of them by itself.
there = set(sys.modules)
from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.operators.cost import KlingRunCostOperator
from airflow_provider_kling.operators.kling import KlingGenerateOperator, KlingSubmitOperator
from airflow_provider_kling.payloads import O1Image
from airflow_provider_kling.sensors.credits import KlingCreditsSensor
from airflow_provider_kling.sensors.kling import KlingSensor
from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

with DAG("light", schedule=None):
    payload = O1Image(prompt="x", image_urls=["https://x/y.png"])
    submit = KlingSubmitOperator(task_id="a", payload=payload, max_cost=1, budget=KlingBudget(5))
    done = KlingSensor(task_id="b", request_id=submit.output)
    KlingCreditsSensor(task_id="c", min_credits=1) >> submit
    done >> KlingRunCostOperator(task_id="d")
    ObjectStorageToSegmindOperator(task_id="e", source="s3://x/*.png")
    # Airflow checks the URI of an asset of S3 with Amazon's provider, which loads requests; so with files.
    KlingGenerateOperator(task_id="g", payload=payload, store="file:///x/y")
    SegmindToObjectStorageOperator(task_id="f", result=done.output, destination="file:///x/y")
heavy = {"requests", "aiohttp", "PIL", "av", "tenacity", "yarl", "fsspec", "upath"}
print("LOADED", sorted({name.split(".")[0] for name in set(sys.modules) - there} & heavy))
"""


def test_parsing_a_dag_loads_no_http_client_and_no_drawing_library():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=120)  # noqa: S603 own code
    assert "LOADED []" in done.stdout
