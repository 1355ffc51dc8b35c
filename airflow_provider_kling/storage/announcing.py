"""Tell Airflow, and the tasks downstream, which files a task has kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.siblings import FILES_KEY
from airflow_provider_kling.versions import announce_through

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_kling.storage.keeping import Kept


def outlet_for(operator: BaseOperator, destination: str) -> AssetAlias:
    """Return the outlet of a task that names none: the destination's, or the task's where that is a template."""
    is_known = not is_template(destination)
    return AssetAlias(destination.rstrip("/") if is_known else f"{operator.dag_id}.{operator.task_id}")


def announce(context: Context, kept: Sequence[Kept]) -> None:
    """
    Announce each file to the task's outlets: to an alias as an asset of its own, to an asset as part of its event.

    The events carry the facts of the sidecar, and are registered when the task succeeds.
    """
    for outlet in context["task"].outlets:
        if isinstance(outlet, AssetAlias):
            for file in kept:
                announce_through(context, outlet, file.uri, {**file.facts, "sidecar": file.sidecar})
        elif isinstance(outlet, Asset):
            context["outlet_events"][outlet].extra["files"] = [
                {**file.facts, "path": file.path, "sidecar": file.sidecar} for file in kept
            ]
    known: dict[str, Any] = {
        file.link: {"path": file.path, "sidecar": file.sidecar, "sha256": file.facts["sha256"]} for file in kept
    }
    context["ti"].xcom_push(key=FILES_KEY, value=known)
