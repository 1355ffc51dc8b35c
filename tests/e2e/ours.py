"""The provider itself, put to the test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.e2e.kills import LANES, Contestant

if TYPE_CHECKING:
    from tests.e2e.kills import Stage, Standstill

#: How long an intent may still turn up, here: a held POST is taken within 3 s.
GRACE = 12

_DAG_FILE = """
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_kling.operators.kling import KlingSubmitOperator
from airflow_provider_kling.sensors.kling import KlingSensor

for lane, (model, parameters) in enumerate({lanes}):
    with DAG(f"{name}_{{lane}}", schedule=None, default_args={{"retries": 9, "retry_delay": timedelta(seconds=2)}}):
        submit = KlingSubmitOperator(
            task_id="submit",
            model=model,
            payload={{"prompt": "{{{{ run_id }}}}", **parameters}},
            orphan_grace={grace},
            history_timeout=4,
        )
        KlingSensor(task_id="done", request_id=submit.output, poll_interval=1)
"""


def dag_file(contestant: Contestant) -> str:
    """Write a DAG for each lane: submit, then wait in the triggerer."""
    return _DAG_FILE.format(lanes=json.dumps(LANES), name=contestant.name, grace=GRACE)


def before_record(stage: Stage) -> Standstill:
    """Stand still at the write that puts an accepted job's id into the task's state."""

    def holds(body: Any) -> bool:
        record = body["value"]
        return record["model"] == stage.model and record["request_id"] is not None and not record["closed"]

    return stage.hold("PUT", "/store/ti/.*/kling_submission$", holds)


def before_xcom(stage: Stage) -> Standstill:
    """Stand still at the first XCom that tells an accepted job."""

    def holds(body: Any) -> bool:
        claim = json.loads(body) if isinstance(body, str) else body
        return claim is not None and claim["record"]["request_id"] is not None

    return stage.hold("POST", f"/xcoms/{stage.dag_id}/.*/submit/kling_submission$", holds)


OURS = Contestant(name="kling", dag_file=dag_file, task_id="submit", record=before_record, xcom=before_xcom)
