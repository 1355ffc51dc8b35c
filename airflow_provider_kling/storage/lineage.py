"""What a job's inputs are, as far as the tasks of its run can tell: followed back to the first picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from airflow_provider_kling.segmind.addresses import is_address
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.foreign import read_json
from airflow_provider_kling.segmind.matching import created_at
from airflow_provider_kling.siblings import FILES_KEY, Traceable, siblings
from airflow_provider_kling.storage.sidecar import Input, Made, Sidecar, bare, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow.providers.common.compat.sdk import Context
    from fsspec import AbstractFileSystem

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.segmind.schemas import HistoryRow

#: How many jobs a chain is followed back through that were not kept; each costs a look in the history.
DEEPEST = 10


@dataclass
class Lineage:
    """
    Follow the links in a payload to what they are.

    :param hook: looks up what earlier jobs of the run were made of.
    :param files: what upstream tasks keep or have uploaded, by its bare link.
    :param results: what upstream tasks have made, by its bare link.
    :param storage_conn_id: opens the sidecars of kept files.
    :param log: the task's logger.
    """

    hook: SegmindHook
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    storage_conn_id: str | None = None
    log: Any = None

    @classmethod
    def of_run(cls, context: Context, hook: SegmindHook, storage_conn_id: str | None, log: Any) -> Lineage:
        """Ask the tasks upstream."""
        ti, task = context["ti"], context["task"]
        earlier = {*task.get_flat_relative_ids(upstream=True), task.task_id}
        upstream = [task_id for task_id in siblings(context["dag"], Traceable) if task_id in earlier]
        if not upstream:
            return cls(hook, storage_conn_id=storage_conn_id, log=log)
        known = _dicts(ti.xcom_pull(task_ids=upstream, key=FILES_KEY))
        results = _dicts(ti.xcom_pull(task_ids=upstream, key="return_value"))
        return cls(
            hook,
            {bare(link): facts for files in known for link, facts in files.items()},
            {bare(link): result for result in results if "request_id" in result for link in result.get("urls") or ()},
            storage_conn_id,
            log,
        )

    def inputs(self, payload: Mapping[str, Any] | None, depth: int = 0) -> tuple[Input, ...]:
        """Return the files that went into a payload."""
        return tuple(self._traced(name, link, depth) for name, link in _links(payload or {}))

    def _traced(self, name: str, link: str, depth: int) -> Input:
        url = bare(link)
        known = self.files.get(url, {})
        path = known.get("path")  # told by a task; text that looks like a file's URL is no reason to read one
        sidecar = known.get("sidecar") or (path and _beside(path))
        made: Made | None = self._read(sidecar) if sidecar else None
        if made is None and url in self.results and depth < DEEPEST:
            made = self._made(self.results[url], url, depth)
        sha256 = known.get("sha256") or (made.sha256 if isinstance(made, Sidecar) else None)
        kept = sidecar if isinstance(made, Sidecar) else None
        return Input(field=name, url=url, path=path, sidecar=kept, sha256=sha256, made=made)

    def _made(self, result: Mapping[str, Any], url: str, depth: int) -> Made:
        row = past(self.hook, result["request_id"], self.log)
        return describe(result, url, row, self, depth=depth + 1)

    def _read(self, sidecar: str) -> Sidecar | None:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        try:
            path = ObjectStoragePath(sidecar)
            if path.conn_id is None and self.storage_conn_id and path.protocol not in {"", "file"}:
                path = ObjectStoragePath(sidecar, conn_id=self.storage_conn_id)
            return read_sidecar(path.fs, path.path)
        except Exception as exc:  # noqa: BLE001 because a description that cannot be had costs no file
            self.log.warning("The description %s of an input cannot be read (%s).", sidecar, type(exc).__name__)
            return None


def describe(
    result: Mapping[str, Any],
    url: str,
    row: HistoryRow | None,
    lineage: Lineage,
    *,
    payload: Mapping[str, Any] | None = None,
    depth: int = 0,
) -> Made:
    """
    Return what is known of a job's making.

    :param result: what the sensor returned.
    :param row: what the request history knows of it.
    :param payload: what was sent; by default what the history has.
    """
    sent = payload if payload is not None else row.request_body if row else None
    cost, seed = result.get("cost"), result.get("seed")
    return Made(
        request_id=result["request_id"],
        model=result.get("model") or (row.model_name if row else None),
        payload=None if sent is None else without_secrets(dict(sent)),
        seed=None if seed is None else str(seed),
        cost=cost if cost is not None else row.cost if row else None,
        metrics=result.get("metrics") or {},
        url=bare(url),
        created_at=created_at(row) if row else None,
        inputs=lineage.inputs(sent, depth),
    )


def past(hook: SegmindHook, request_id: str, log: Any) -> HistoryRow | None:
    """Return what the request history knows of a job, or None: a description is not worth a failed task."""
    try:
        return hook.find_row(request_id)
    except SegmindError as error:
        log.warning("Request %s is described without its payload: %s", request_id, error)
        return None


def read_sidecar(fs: AbstractFileSystem, path: str) -> Sidecar | None:
    """Return a description, or None where there is none that can be read."""
    try:
        return Sidecar.model_validate_json(fs.cat_file(path))
    except (FileNotFoundError, ValidationError):
        return None


def _beside(path: str) -> str:
    stem, dot, extension = path.rpartition(".")
    return f"{stem if dot and '/' not in extension else path}.json"


def _links(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each address in a payload with the parameter that it stands in."""
    match node:
        case str() if is_address(node):
            yield name, node
        case str() if node[:1] in {"[", "{"}:  # the history may quote a list
            try:
                yield from _links(read_json(node), name)
            except (ValueError, RecursionError):  # texts within texts
                return
        case dict():
            for key, inner in node.items():
                yield from _links(inner, f"{name}.{key}" if name else str(key))
        case list() | tuple():
            for place, inner in enumerate(node):
                yield from _links(inner, f"{name}[{place}]")


def _dicts(pulled: Iterable[Any] | None) -> list[Mapping[str, Any]]:
    return [value for value in pulled or () if isinstance(value, dict)]
