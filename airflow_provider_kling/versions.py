"""What only some Airflow versions can do, and its replacements for the others."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from airflow import __version__ as airflow_version
from airflow.configuration import conf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Asset, AssetAlias, Context


_VERSION = tuple(int(part) for part in airflow_version.split(".")[:2])
#: Whether tasks use an API server instead of the database.
AIRFLOW_3 = _VERSION >= (3, 0)
#: Whether a task can start and end in the triggerer, with its templates rendered and its XComs pushed.
RUNS_IN_TRIGGERER = _VERSION >= (3, 3)
#: Whether a task's state survives a clear of the task. From 3.4 on a clear discards it; a deployment may be configured
#: to discard it on success.
STATE_OUTLIVES_A_CLEAR = _VERSION == (3, 3) and not conf.getboolean("state_store", "clear_on_success", fallback=False)
#: Whether Airflow may retry, or fail, a task that it has marked as success.
RETRIES_WHAT_SUCCEEDED = _VERSION < (3, 0)
#: In how many other runs of the DAG a task searches for submissions.
RUNS = 50
#: Airflow 3 returns the states of all task instances of a DAG or of none; more than this many are not requested.
MOST_INSTANCES = 20_000
_RUN_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")


def mask(secrets: Sequence[str]) -> None:
    """Make Airflow mask these in the logs of this process and of its supervisor."""
    if _VERSION < (3, 0):
        module = "airflow.utils.log.secrets_masker"
    elif _VERSION < (3, 1):
        module = "airflow.sdk.execution_time.secrets_masker"
    else:
        module = "airflow.sdk.log"
    import_module(module).mask_secret(list(secrets))


class TaskStateStore(Protocol):
    """What Airflow 3.3 offers as ``context["task_state_store"]``: JSON values that outlive an attempt."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value, or the default where there is none."""

    def set(self, key: str, value: Any) -> None:
        """Store the value."""

    def delete(self, key: str) -> None:
        """Delete the value."""


def task_state_store(context: Context) -> TaskStateStore | None:
    """Return the task's durable state, or None below Airflow 3.3, which has none."""
    store: TaskStateStore | None = context.get("task_state_store")
    return store


def when_counted(context: Context, callback: Callable[[], None]) -> None:
    """
    Call the callback once Airflow has marked the running task as success.

    Airflow 3 runs ``on_success_callback`` after that, but also where its API server has refused the success, because a
    user has cleared the task meanwhile or its assets cannot be registered (tried on 3.3.2): so the state is read first.
    Airflow 2 runs it before, and commits its writes before it commits the success (a kill in between was seen to leave
    only one of them); there a listener is called afterwards.
    """
    if _VERSION < (3, 0):
        _listen_for_success(context["ti"], callback)
        return

    def kling_conclude(context: Context) -> None:
        if _is_counted(context):
            callback()

    task: Any = context["task"]
    own = task.on_success_callback or []
    task.on_success_callback = [*(own if isinstance(own, list | tuple) else [own]), kling_conclude]


def call_on_failure(context: Context, callback: Callable[[], None]) -> None:
    """Call the callback when Airflow marks the running task as failed, but not when it will retry the task."""
    task: Any = context["task"]
    own = task.on_failure_callback or []
    task.on_failure_callback = [*(own if isinstance(own, list | tuple) else [own]), lambda _: callback()]


def _is_counted(context: Context) -> bool:
    ti: Any = context["ti"]
    index = ti.map_index
    states = ti.get_task_states(
        dag_id=ti.dag_id,
        task_ids=[ti.task_id],
        run_ids=[ti.run_id],
        map_index=None if index in {None, -1} else index,
    )
    return set(states.get(ti.run_id, {}).values()) == {"success"}


def _listen_for_success(ti: Any, callback: Callable[[], None]) -> None:
    from airflow.listeners import hookimpl
    from airflow.listeners.listener import get_listener_manager

    awaited = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
    manager = get_listener_manager()

    class Listener:
        @hookimpl
        def on_task_instance_success(self, task_instance: Any) -> None:
            told = task_instance
            if (told.dag_id, told.run_id, told.task_id, told.map_index) == awaited:
                manager.pm.unregister(self)
                callback()

    manager.add_listener(Listener())


def push_from_trigger(ti: Any, xcoms: Mapping[str, Any], links: Mapping[str, str]) -> None:
    """
    Push XComs from a trigger, through the deployment's XCom backend, as a task does (Airflow 3.3 and later).

    It blocks: call it in a thread. The XComs of a ``TaskSuccessEvent`` cannot be used: Airflow 3.3 encodes those once
    more than a task decodes, and no XCom backend sees them (tried on 3.3.2).

    :param ti: the trigger's task instance.
    :param xcoms: by key.
    :param links: by key; values that the UI reads from its own database, whichever backend is configured.
    """
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    for backend, values in ((XCom, xcoms), (BaseXCom, links)):
        for key, value in values.items():
            backend.set(key, value, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)


def delete_xcoms(ti: Any, keys: Iterable[str]) -> None:
    """Delete XComs of a task, in the XCom backend too (Airflow 3.3 and later)."""
    from airflow.sdk.execution_time.xcom import XCom

    for key in keys:
        XCom.delete(key=key, task_id=ti.task_id, dag_id=ti.dag_id, run_id=ti.run_id, map_index=ti.map_index)


def mapped_instances(context: Context) -> int:
    """Return how many instances the task is mapped to in this run; 1 if it is not mapped."""
    ti = context["ti"]
    if ti.map_index in {None, -1}:
        return 1
    count: int | None
    if _VERSION >= (3, 0):
        count = ti.get_ti_count(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id])
    else:
        count = context.get("expanded_ti_count")  # None inside a mapped task group
    return max(1, count or 1)


def mapped_over(expand_input: Any, context: Context) -> Mapping[str, Any]:
    """Return what a task is mapped over by ``expand_kwargs()``: its arguments by their names."""
    if _VERSION >= (3, 0):
        found: Mapping[str, Any] = expand_input.resolve(context)[0]
        return found
    from airflow.utils.session import create_session

    with create_session() as session:
        in_session: Mapping[str, Any] = expand_input.resolve(context, session)[0]
        return in_session


def running_instances(context: Context, task_ids: Sequence[str], *, retried: bool) -> list[str]:
    """
    Return the instances of the tasks that are running in this DAG run: ``submit`` or ``submit[3]``.

    :param retried: whether those that are up for retry count too.
    """
    ti: Any = context["ti"]
    begun = ["running", "restarting", *(["up_for_retry"] if retried else [])]
    if _VERSION < (3, 0):
        instances = ti.get_dagrun().get_task_instances(state=begun)
        return [
            one.task_id if one.map_index < 0 else f"{one.task_id}[{one.map_index}]"
            for one in instances
            if one.task_id in task_ids
        ]
    # Airflow gives the second instance of a mapped task "clip" and a task "clip_1" the same name: such a task is
    # queried alone.
    alone = [name for name in task_ids if name.rpartition("_")[0] in task_ids and name.rpartition("_")[2].isdigit()]
    found: list[str] = []
    for asked in [[name for name in task_ids if name not in alone], *([name] for name in alone)]:
        if asked:
            told = ti.get_task_states(dag_id=ti.dag_id, task_ids=asked, run_ids=[ti.run_id])
            running = [name for name, state in told.get(ti.run_id, {}).items() if state in begun]
            found += [name if name in asked else "{}[{}]".format(*name.rsplit("_", 1)) for name in running]
    return found


def known_asset(context: Context, asset: Asset) -> Asset | None:
    """
    Return the asset with this URI, under the name that a DAG gives it; None if no DAG names it.

    Airflow 2 does not say, and ignores events of unknown assets; Airflow 3.0 fails the task for them.
    """
    if _VERSION < (3, 0):
        return asset
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        known: Any = context["outlet_events"][type(asset).ref(uri=asset.uri)].key
    except AirflowRuntimeError:
        return None
    return type(asset)(name=known.name, uri=known.uri)


def add_alias_event(context: Context, alias: AssetAlias, asset: Asset, facts: Mapping[str, Any]) -> None:
    """
    Add an asset's event to an alias, which has to be among the task's outlets.

    Airflow 2 and 3.0 accept plain values only, so other values become JSON text there. Airflow 2 fails if the alias is
    not in its database: a scheduler adds it, ``dag.test()`` does not.
    """
    extra = dict(facts)
    if _VERSION < (3, 1):
        extra = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in extra.items()}
    if _VERSION < (3, 0):
        _store_alias(alias.name)
    context["outlet_events"][alias].add(asset, extra=extra)


def _store_alias(name: str) -> None:
    from airflow.models.dataset import DatasetAliasModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        if session.scalar(select(DatasetAliasModel.id).where(DatasetAliasModel.name == name)) is None:
            session.add(DatasetAliasModel(name=name))


def other_runs(context: Context, task_ids: Sequence[str]) -> list[str] | None:
    """
    Return the ids of the DAG's other runs in which one of the tasks may have submitted lately, at most :data:`RUNS`.

    None if the DAG has too many task instances: :data:`MOST_INSTANCES`. Airflow 3 gives a task no times of other runs.
    There, the runs with an unfinished task come first, then those with the latest dates in their ids. On Airflow 2 the
    runs with the latest XComs come first.
    """
    ti: Any = context["ti"]
    if _VERSION < (3, 0):
        return _pushed_last(ti.dag_id, ti.run_id, task_ids)
    if ti.get_ti_count(dag_id=ti.dag_id, task_ids=list(task_ids)) > MOST_INSTANCES:
        return None
    states: dict[str, dict[str, str | None]] = ti.get_task_states(dag_id=ti.dag_id, task_ids=list(task_ids))

    def age(run_id: str) -> tuple[bool, str]:
        unfinished = set(states[run_id].values()) - {None, "success", "failed", "skipped", "upstream_failed", "removed"}
        dated = _RUN_DATE.search(run_id)
        return bool(unfinished), dated[0] if dated else ""

    return sorted(states.keys() - {ti.run_id}, key=age, reverse=True)[:RUNS]


def _pushed_last(dag_id: str, run_id: str, task_ids: Iterable[str]) -> list[str]:
    from airflow.models.xcom import XCom
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    query = (
        select(XCom.run_id)
        .where(XCom.dag_id == dag_id, XCom.run_id != run_id, XCom.task_id.in_(list(task_ids)))
        .group_by(XCom.run_id)
        .order_by(func.max(XCom.timestamp).desc())
        .limit(RUNS)
    )
    with create_session() as session:
        return list(session.scalars(query))


def xcoms_of_run(context: Context, run_id: str, task_ids: Sequence[str], key: str) -> list[Any]:
    """Return what the tasks, mapped ones included, have pushed under the key in another run of the DAG."""
    ti: Any = context["ti"]
    if _VERSION >= (3, 0):
        pulled: list[Any] = ti.xcom_pull(task_ids=task_ids, key=key, run_id=run_id)
        return pulled
    from airflow.models.xcom import XCom
    from airflow.utils.session import create_session

    with create_session() as session:
        found = XCom.get_many(run_id=run_id, key=key, task_ids=task_ids, dag_ids=ti.dag_id, session=session)
        # As xcom_pull does: an XCom row by itself loads only the short form that a backend shows in the UI.
        return [XCom.deserialize_value(row) for row in found.with_entities(XCom.value)]
