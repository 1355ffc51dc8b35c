"""
The asset of a folder, and the events that report the files saved there to other DAGs.

What must not be relaxed:

* A folder is one asset, whatever is saved in it: a run adds events, not assets.
* Nothing here makes a task fail at its end. Airflow fails a task for good if two that end together create the same row,
  so an asset is named when the DAG file is parsed; an asset that no DAG names gets no event.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.storage.allowed_paths import authors_folder, plain
from airflow_provider_kling.storage.names import LONGEST_VALUE, render, task_values
from airflow_provider_kling.versions import add_alias_event, known_asset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.storage.file_saver import SavedFile
    from airflow_provider_kling.storage.store import Store


def outlets_for(destination: Any, outlets: Any) -> list[Any]:
    """
    Return the outlets of a task: its author's, or the folder itself as one asset.

    The asset of a destination with templates is the folder in front of the first one, so that it is the same in each
    run and a DAG can be scheduled on it: ``s3://bucket/clips/{{ ds }}`` is the asset ``s3://bucket/clips``. If nothing
    is in front of the first template, there is no outlet before the task runs: see :func:`register_events`.

    :param destination: checked, its templates not rendered.
    :raises SegmindInputError: Airflow takes no such asset.
    """
    if not outlets:
        known = authors_folder(destination) if is_template(destination) else str(destination)
        return [folder_asset(known)] if known else []
    named = list(outlets) if isinstance(outlets, list | tuple | set) else [outlets]
    for outlet in named:
        if isinstance(outlet, Asset) and not outlet.uri.isascii():
            raise SegmindInputError(
                f"outlets: {outlet.uri!r} is not ASCII, and Airflow takes no such URI; write {_ascii(outlet.uri)!r}."
            )
    return named


def folder_asset(destination: str) -> Asset:
    """
    Return the asset of a folder: its URL, without the storage connection and a slash at the end.

    :raises SegmindInputError: Airflow takes no such asset.
    """
    parts = urlsplit(plain(destination))
    return _asset(f"{parts.scheme or 'file'}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}")


def check_assets(context: Context, store: Store) -> None:
    """
    Refuse what could not become an asset when the files are saved, before anything is paid.

    :param store: its templates are rendered.
    :raises SegmindInputError: Airflow takes no such asset.
    """
    ti = context["ti"]
    if any(isinstance(outlet, AssetAlias) for outlet in ti.task.outlets):
        longest = "x" * LONGEST_VALUE
        name = render(store.name, {**task_values(context), "index": 99, "request_id": longest, "model": longest})
        _asset(f"{store.destination}/{name.file('jpeg')}")
    elif not ti.task.outlets:
        folder_asset(store.destination)


def register_events(context: Context, saved: Sequence[SavedFile], destination: str, log: Any) -> None:
    """
    Add the events of the saved files to the task's outlets; Airflow registers them when the task succeeds.

    The event of an asset carries the facts of the file. If a job made several files, the facts of all are in its
    ``files``, because Airflow registers one event of an asset for each task instance. An alias gets each file as a
    separate asset.

    :param saved: at least one file.
    :param destination: the rendered folder: the asset of a task without outlets, if another DAG names it.
    """
    ti = context["ti"]
    # Only the outlets in the DAG file count: Airflow does not know those that a mapped task gets as it runs.
    if not context["dag"].get_task(ti.task_id).outlets:
        ti.task.outlets = _outlets_of_others(context, destination, log)
    facts: list[Any] = [{**file.facts, "path": file.path, "sidecar": file.sidecar} for file in saved]
    for outlet in ti.task.outlets:
        if isinstance(outlet, AssetAlias):
            for file, extra in zip(saved, facts, strict=True):
                add_alias_event(context, outlet, _asset(file.uri), extra)
        elif isinstance(outlet, Asset):
            context["outlet_events"][outlet].extra.update(facts[0])
            if len(facts) > 1:
                context["outlet_events"][outlet].extra["files"] = facts


def _outlets_of_others(context: Context, destination: str, log: Any) -> list[Asset]:
    folder = folder_asset(destination)
    known = known_asset(context, folder)
    if known is None:
        log.info("No DAG names asset %s, so no event reports the files. Name it in outlets= or a schedule.", folder.uri)
    return [known] if known else []


def _asset(uri: str) -> Asset:
    try:
        return Asset(_ascii(uri))
    except ValueError as exc:
        raise SegmindInputError(f"destination: {uri!r} cannot be an asset of Airflow ({exc}); use another.") from exc


def _ascii(uri: str) -> str:
    """Return it with non-ASCII characters percent-encoded, and the rest unchanged."""
    return quote(uri, safe=string.printable)
