"""How an error ends a task: with Airflow's retries where they can help, without them where they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

    from airflow_provider_kling.segmind.errors import SegmindError


def fail(operator: BaseOperator, error: SegmindError) -> NoReturn:
    """
    End the task with the error.

    What no retry can cure fails the task at once and leaves its retries unused; the error is then the
    ``__cause__`` of the exception. A ``retry_policy`` (Airflow 3.3+) sees every error as it is and decides.
    """
    if error.retryable or getattr(operator, "retry_policy", None) is not None:
        raise error
    raise AirflowFailException(str(error)) from error
