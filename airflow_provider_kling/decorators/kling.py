"""``@task.kling``: a function that returns a payload, and the video or picture that is made of it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_kling.operators.failure import fail
from airflow_provider_kling.operators.generate import KlingGenerateOperator
from airflow_provider_kling.payloads.request import check_unrendered
from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.storage.asset_events import outlets_for
from airflow_provider_kling.storage.store import as_store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context, TaskDecorator


class _Returned:
    """Stands for what the function will return, as an XComArg does for what a task will."""

    def __repr__(self) -> str:
        return "what the function returns"

    def resolve(self, context: Mapping[str, Any]) -> _Returned:  # noqa: ARG002 as Airflow calls it
        return self

    def iter_references(self) -> Iterator[Any]:
        return iter(())


class _KlingDecoratedOperator(DecoratedOperator, KlingGenerateOperator):
    """Calls the function, and generates what it returned."""

    custom_operator_name = "@task.kling"
    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *KlingGenerateOperator.template_fields)
    # What the function returned is shown where its template would have been.
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, payload=_Returned(), **kwargs
        )

    def execute(self, context: Context) -> Any:
        """Call the function; then as :class:`KlingGenerateOperator`."""
        from airflow_provider_kling.submission.earlier_attempt import publish_earlier

        publish_earlier(context)
        # A copy: what the function is mapped over may be named as what the submit relies on, such as the task's state.
        for_function = copy.copy(context)
        context_merge(for_function, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, for_function)
        returned = self.python_callable(*self.op_args, **kwargs)
        try:
            self.payload, self.model = check_unrendered(returned, self.model)
        except SegmindInputError as error:
            fail(self, error.followed_by("It is what the function returned; correct that, then clear this task."))
        return super().execute(context)


def kling_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Make a task of a function that returns a payload: an instance of a payload class, or a dict.

    The function is called again by each retry. It has to return the same for the same run: another payload is another
    job, paid for once more. A task downstream gets the result, as of :class:`KlingGenerateOperator`.

    :param python_callable: the function.
    :param kwargs: arguments of :class:`KlingGenerateOperator`; ``model`` is needed.
    """
    if (store := as_store(kwargs.get("store"))) is not None:
        # Also of a task that is mapped, which makes no operator before it runs.
        kwargs["outlets"] = outlets_for(store.destination, kwargs.get("outlets"))
    # The function's dict is the payload, not the task's outputs.
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=_KlingDecoratedOperator,
        **kwargs,
    )
