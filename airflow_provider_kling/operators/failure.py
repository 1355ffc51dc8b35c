"""How an error ends a task: with Airflow's retries where they can help, without them where they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

    from airflow_provider_kling.segmind.errors import SegmindError

#: What to do after an error that no retry fixes and that left no job behind.
CORRECT_AND_CLEAR = "Correct that, then clear this task; correct the run's parameters in a new run."


def fail(operator: BaseOperator, error: SegmindError) -> NoReturn:
    """
    End the task with the error, logged in one line before any traceback.

    An error that no retry can fix fails the task at once and leaves its retries unused: the exception is of the error's
    class and of Airflow's ``AirflowFailException`` too, so a callback finds all facts on it. A ``retry_policy``
    (Airflow 3.3+) sees every error unchanged and decides.
    """
    operator.log.error("%s: %s", type(error).__name__, error)
    decided_by_airflow = error.retryable or getattr(operator, "retry_policy", None) is not None
    raise error if decided_by_airflow else for_good(error) from error.__cause__


def for_good(error: SegmindError) -> SegmindError:
    """Return the error in a form that Airflow does not retry: with its class, its facts and its cause."""
    told = _for_good_from_dict(error.to_dict(), type(error))
    told.__cause__ = error.__cause__
    return told


def _for_good_from_dict(serialised: dict[str, Any], kind: type[SegmindError]) -> SegmindError:
    facts = {name: value for name, value in serialised.items() if name not in {"class", "message"}}
    return _class_for_good(kind)(serialised["message"], **facts)


def _class_for_good(kind: type[SegmindError]) -> type[SegmindError]:
    """Return a subclass of an error class that Airflow does not retry; to users it has the same name."""

    def reduce(error: SegmindError) -> tuple[Any, ...]:
        return _for_good_from_dict, (error.to_dict(), kind)

    body = {"__module__": __name__, "__doc__": kind.__doc__, "__reduce__": reduce}
    return type(kind.__name__, (kind, AirflowFailException), body)
