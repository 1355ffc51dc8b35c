"""Where a sensor's request id comes from, as far as the triggerer can resolve it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_kling.payloads.templates import is_template
from airflow_provider_kling.xcoms import Submitter

#: Airflow's triggerer gets a copy of the whole DAG with each wait that it starts: about 1 KB to send and 2.6 KB to hold
#: for each task, parsed on its event loop (3.3.2). Above this number of tasks, a start on a worker is cheaper.
LARGEST_DAG = 25


class StartsInTriggerer:
    """
    A sensor's ``start_from_trigger``: the requested value, unless its DAG turns out to need a worker.

    Airflow reads it when the DAG is complete. On the class it is False, which is what a mapped sensor gets.
    """

    def __get__(self, sensor: Any, owner: type) -> bool:
        if sensor is None:
            return False
        asked: bool = sensor.__dict__.get("_start_from_trigger", False)
        return asked and not (sensor.has_dag() and _needs_worker_at_start(sensor))

    def __set__(self, sensor: Any, asked: bool) -> None:
        sensor.__dict__["_start_from_trigger"] = asked


def _needs_worker_at_start(sensor: Any) -> bool:
    """Whether the complete DAG needs a worker, which the sensor could not know when it was created."""
    dag = sensor.dag
    fields = [getattr(sensor, name) for name in sensor.template_fields]
    # Airflow's triggerer knows a DAG without the author's macros and filters.
    unknown_words = (dag.user_defined_macros or dag.user_defined_filters) and any(map(is_template, fields))
    ends_elsewhere = sensor.start_trigger_args.trigger_kwargs["end_from_trigger"] and not sensor.end_from_trigger
    return bool(len(dag.task_dict) > LARGEST_DAG or is_mapped_over(sensor) or unknown_words or ends_elsewhere)


def is_mapped_over(sensor: Any) -> bool:
    """Whether a task is expanded over the sensor's result, so that Airflow has to know its length."""
    return sensor.has_dag() and next(sensor.iter_mapped_dependants(), None) is not None


def needs_worker_at_end(sensor: Any) -> bool:
    """
    Whether the end of a sensor needs more than its XComs, which only a worker does.

    That is: assets, the author's ``post_execute``, one XCom for each key of the result, the result of the DAG, or
    the length of what a task is expanded over.
    """
    return bool(
        sensor.outlets
        or getattr(sensor, "_post_execute_hook", None)
        or sensor.multiple_outputs
        or getattr(sensor, "returns_dag_result", False)
        or is_mapped_over(sensor)
    )


@dataclass(frozen=True, slots=True)
class Source:
    """
    What the triggerer needs to find a job without a worker.

    :param request_id: the id, or a template that the triggerer can render.
    :param model: the model's slug, or a template of it, if a task publishes it.
    :param submitted_at: a template of when it was submitted, if a task publishes it.
    """

    request_id: str
    model: str | None = None
    submitted_at: str | None = None


def for_triggerer(value: Any) -> Any:
    """
    Return a templated argument as the triggerer can render it.

    :raises LookupError: only a worker can.
    """
    if value is None:
        return None
    source = source_of(value)
    if source is None:
        raise LookupError
    return source.request_id


def source_of(request_id: Any) -> Source | None:
    """
    Return the source of a request id; None if only a worker can resolve it.

    Airflow's triggerer answers an ``xcom_pull`` for one map index only: it waits forever for any other.
    """
    if isinstance(request_id, str):
        hangs = "xcom_pull" in request_id and "map_indexes" not in request_id
        return None if hangs else Source(request_id)
    operator, key = getattr(request_id, "operator", None), getattr(request_id, "key", None)
    if operator is None or not isinstance(key, str) or getattr(operator, "is_mapped", False):
        return None
    if next(operator.iter_mapped_task_groups(), None) is not None:
        return None
    pull = f"ti.xcom_pull(task_ids={operator.task_id!r}, key={{key!r}}, map_indexes=-1)"
    whole = "{{ " + pull.format(key=key) + " }}"
    if not isinstance(operator, Submitter) or key != "return_value":
        return Source(whole)
    model = getattr(operator, "model", None)
    return Source(
        whole,
        model="{{ " + pull.format(key="model") + " }}" if model is None or is_template(model) else model,
        submitted_at="{{ " + pull.format(key="submitted_at") + " }}",
    )
