"""A job's inputs, as far as the tasks of its run know them, followed back to the first picture."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.addresses import is_address
from airflow_provider_kling.segmind.errors import SegmindError, SegmindRequestNotFoundError
from airflow_provider_kling.segmind.history import created_at
from airflow_provider_kling.segmind.sanitize import one_line, read_json
from airflow_provider_kling.storage.allowed_paths import on_disk
from airflow_provider_kling.storage.open_files import open_real
from airflow_provider_kling.storage.sidecar import (
    DEEPEST,
    Input,
    Made,
    Sidecar,
    bare,
    read_document,
    read_sidecar,
    without_secrets,
)
from airflow_provider_kling.uploads.source_files import located
from airflow_provider_kling.xcoms import FILES_KEY, Traceable, siblings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.segmind.history import HistoryRow

#: How many descriptions and jobs are read in all; further inputs are given by their links only.
MOST_LOOKS = 50
#: Seconds that the request history may take to answer about all jobs of a chain: a paid file waits meanwhile.
PATIENCE = 10.0
#: Where less is left of them, it is not asked any more.
SHORTEST_ANSWER = 0.5


@dataclass
class Lineage:
    """
    Follow the links in a payload to their files and jobs.

    A job is paid by then: what cannot be found out about its inputs is only logged.

    :param hook: reads what earlier jobs of the run were made from.
    :param files: what upstream tasks have saved or uploaded, by its bare link.
    :param results: the results of upstream tasks, by bare link.
    :param storage_conn_id: opens the sidecars of saved files.
    :param log: the task's logger.
    """

    hook: SegmindHook
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    storage_conn_id: str | None = None
    log: Any = None
    _rows: dict[str, HistoryRow | None] = field(default_factory=dict)
    _looks: int = 0
    _is_silent: bool = False
    _asked_for: float = 0.0

    @classmethod
    def of_run(cls, context: Context, hook: SegmindHook, storage_conn_id: str | None, log: Any) -> Lineage:
        """Read what the upstream tasks have published."""
        ti, task = context["ti"], context["task"]
        earlier = {*task.get_flat_relative_ids(upstream=True), task.task_id}
        files: dict[str, Mapping[str, Any]] = {}
        results: dict[str, Mapping[str, Any]] = {}
        for task_id in siblings(context["dag"], Traceable):
            if task_id not in earlier:
                continue
            try:
                for known in _dicts(ti.xcom_pull(task_ids=[task_id], key=FILES_KEY)):
                    files.update({bare(link): facts for link, facts in known.items()})
                for result in _dicts(ti.xcom_pull(task_ids=[task_id], key="return_value")):
                    if "request_id" in result:
                        results.update({bare(link): result for link in result.get("urls") or ()})
            except Exception as exc:  # noqa: BLE001 because an XCom may hold what cannot be read, or no files
                log.warning("What the task %s has made or uploaded cannot be read (%s).", task_id, one_line(exc))
        return cls(hook, files, results, storage_conn_id, log)

    def inputs(self, payload: Mapping[str, Any] | None, chain: tuple[str, ...] = ()) -> tuple[Input, ...]:
        """
        Return the files that went into a payload.

        :param chain: the jobs that led to it, each made of a file of the next.
        """
        return tuple(self._traced(name, link, chain) for name, link in _links(payload or {}))

    def _traced(self, name: str, link: str, chain: tuple[str, ...]) -> Input:
        url = bare(link)
        try:
            return self._followed(name, url, chain)
        except Exception as exc:  # noqa: BLE001 because an unknown input costs no file
            self.log.warning(
                "The origin of the input %s is unknown (%s).", one_line(name), one_line(exc) or type(exc).__name__
            )
            return Input(field=name, url=url)

    def _followed(self, name: str, url: str, chain: tuple[str, ...]) -> Input:
        known = self.files.get(url, {})  # from a task: a text that looks like a file's URL is no reason to read a file
        sidecar, made = known.get("sidecar"), None
        if sidecar and self._may_look():
            made = self._read(sidecar)
        kept = sidecar if made else None
        sha256 = known.get("sha256") or (made.sha256 if made else None)
        return Input(
            field=name,
            url=url,
            path=known.get("path"),
            sidecar=kept,
            sha256=sha256,
            made=made or self._made(url, chain),
        )

    def _made(self, url: str, chain: tuple[str, ...]) -> Made | None:
        """Return what is known about the job that made a file which was not saved."""
        result = self.results.get(url)
        if result is None or result["request_id"] in chain or len(chain) > DEEPEST or not self._may_look():
            return None
        request_id = result["request_id"]
        if request_id not in self._rows:
            self._rows[request_id] = self.past(request_id)
        return describe(result, url, self._rows[request_id], self, chain=chain)

    def past(self, request_id: str) -> HistoryRow | None:
        """Return what the request history knows about a job; if it once fails to answer, it is not asked again."""
        if self._is_silent:
            return None
        left = PATIENCE - self._asked_for
        begun = time.monotonic()
        try:
            return self.hook.find_row(request_id, timeout=left, attempts=1)
        except SegmindRequestNotFoundError as error:
            self.log.warning("Request %s is described without its payload: %s", request_id, error)
        except SegmindError as error:
            self._is_silent = True
            self.log.warning("The request history of the inputs cannot be read, and is left out: %s", error)
        finally:
            self._asked_for += time.monotonic() - begun
            self._is_silent |= self._asked_for >= PATIENCE - SHORTEST_ANSWER
        return None

    def _may_look(self) -> bool:
        self._looks += 1
        return self._looks <= MOST_LOOKS

    def _read(self, sidecar: str) -> Sidecar | None:
        try:
            if real := on_disk(sidecar):  # given as its real path, so no link has to be followed
                with open_real(real) as file:
                    return read_document(file)
            path = located(sidecar, self.storage_conn_id)
            return read_sidecar(path.fs, path.path)
        except FileNotFoundError:
            return None
        except Exception as exc:  # noqa: BLE001 because a description that cannot be had costs no file
            self.log.warning("The description %s of an input cannot be read (%s).", one_line(sidecar), one_line(exc))
            return None


def describe(
    result: Mapping[str, Any],
    url: str,
    row: HistoryRow | None,
    lineage: Lineage,
    *,
    payload: Mapping[str, Any] | None = None,
    chain: tuple[str, ...] = (),
) -> Made:
    """
    Return what is known about how a job was made.

    :param result: what the sensor returned.
    :param row: what the request history knows about it.
    :param payload: what was sent; by default what the history has.
    :param chain: the jobs that led to it, each made of a file of the next.
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
        inputs=lineage.inputs(sent, (*chain, result["request_id"])),
    )


def _links(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each address in a payload with its parameter."""
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


def _dicts(pulled: Any) -> list[Mapping[str, Any]]:
    return [value for value in pulled or () if isinstance(value, dict)]
