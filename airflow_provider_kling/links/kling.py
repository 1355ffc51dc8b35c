"""The button that opens a job's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

from airflow_provider_kling.segmind.addresses import is_link

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

_NOT_KNOWN_HERE = object()


class KlingOutputLink(BaseOperatorLink):
    """Opens the picture or video of a finished job; Segmind deletes the file after seven days."""

    name = "Kling output"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the file's address, or an empty string while there is none."""
        # Airflow 3 calls this in the task's own process, at its end and at each deferral. Airflow 2 calls it in the
        # webserver, where the operator knows nothing of the run.
        url = getattr(operator, "output_url", _NOT_KNOWN_HERE)
        if url is _NOT_KNOWN_HERE:
            url = XCom.get_value(ti_key=ti_key, key="url")
        return url if isinstance(url, str) and is_link(url) else ""
