"""
How Kling jobs are run without this provider: two operators that the kills are tried on as well.

Both are written as their makers' own examples are, with Segmind's official SDK.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import BaseOperator, ResumableJobMixin
from segmind import SegmindClient  # type: ignore[import-untyped]  # the SDK has no types
from segmind.v2 import AsyncJob  # type: ignore[import-untyped]  # as above

#: As in the example on the model's page.
TIMEOUT, INTERVAL = 900, 2.0
ACTIVE = {"QUEUED", "PROCESSING"}


def client() -> SegmindClient:
    """Return the SDK's client for the simulator."""
    return SegmindClient(api_key=os.environ["BENCH_API_KEY"], base_url=f"{os.environ['BENCH_URL']}/v1")


class PlainOperator(BaseOperator):
    """Submit and wait, as the example on the model's page does."""

    template_fields = ("payload",)

    def __init__(self, *, model: str, payload: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.payload = payload

    def execute(self, context: Any) -> str:  # noqa: ARG002 Airflow's signature
        """Submit, wait, return the address of the file."""
        job = client().submit_async(self.model, **self.payload)
        result = job.wait(timeout=TIMEOUT, interval=INTERVAL)
        return str(result["output"])


class ResumableOperator(ResumableJobMixin, BaseOperator):
    """Submit and wait with Airflow's own crash-safe mixin, as its documentation shows it."""

    template_fields = ("payload",)
    external_id_key = "segmind_request_id"

    def __init__(self, *, model: str, payload: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.payload = payload

    def execute(self, context: Any) -> Any:
        """Submit or reconnect, and wait."""
        return self.execute_resumable(context)

    def submit_job(self, context: Any) -> str:  # noqa: ARG002 the mixin's signature
        """Submit and return the request id."""
        return str(client().submit_async(self.model, **self.payload).request_id)

    def get_job_status(self, external_id: Any, context: Any) -> str:  # noqa: ARG002 the mixin's signature
        """Return Segmind's word for where the job stands."""
        return str(self._job(external_id).status()["status"])

    def is_job_active(self, status: str) -> bool:
        """Whether the job still runs."""
        return status in ACTIVE

    def is_job_succeeded(self, status: str) -> bool:
        """Whether the job is done."""
        return status == "COMPLETED"

    def poll_until_complete(self, external_id: Any, context: Any) -> Any:
        """Wait for the job; after a reconnection the mixin returns what this does."""
        self._job(external_id).wait(timeout=TIMEOUT, interval=INTERVAL)
        return self.get_job_result(external_id, context)

    def get_job_result(self, external_id: Any, context: Any) -> str:  # noqa: ARG002 the mixin's signature
        """Return the address of the file."""
        return str(self._job(external_id).result()["output"])

    def _job(self, request_id: str) -> AsyncJob:
        url = f"{os.environ['BENCH_URL']}/v2/requests/{request_id}"
        return AsyncJob(request_id, f"{url}/status", url, {}, client())
