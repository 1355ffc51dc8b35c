"""``@task.kling``: makes a video or picture from the payload that a function returns."""

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
    """A placeholder for what the function will return, as an XComArg is for what a task will return."""

    def __repr__(self) -> str:
        return "what the function returns"

    def resolve(self, context: Mapping[str, Any]) -> _Returned:  # noqa: ARG002 as Airflow calls it
        return self

    def iter_references(self) -> Iterator[Any]:
        return iter(())


class _KlingDecoratedOperator(DecoratedOperator, KlingGenerateOperator):
    """Calls the function, and generates from the payload that it returned."""

    custom_operator_name = "@task.kling"
    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *KlingGenerateOperator.template_fields)
    # The rendered template fields show what the function returned.
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
        """Call the function, then execute as :class:`KlingGenerateOperator` does."""
        from airflow_provider_kling.submission.earlier_attempt import publish_earlier

        publish_earlier(context)
        # A copy: op_kwargs may have the name of something that the submit relies on, such as the task's state.
        for_function = copy.copy(context)
        context_merge(for_function, self.op_kwargs)
        kwargs = determine_kwargs(self.python_callable, self.op_args, for_function)
        returned = self.python_callable(*self.op_args, **kwargs)
        try:
            self.payload, self.model = check_unrendered(returned, self.model)
        except SegmindInputError as error:
            fail(self, error.followed_by("This is what the function returned; correct that, then clear this task."))
        return super().execute(context)


def kling_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """
    Turn a function that returns a payload, an instance of a payload class or a dict, into a task.

    Each retry calls the function again. It has to return the same payload for the same run: another payload is another
    job, and is paid for again. A downstream task gets the result, as from :class:`KlingGenerateOperator`.

    :param python_callable: the function.
    :param kwargs: arguments of :class:`KlingGenerateOperator`; ``model`` is required.
    """
    if (store := as_store(kwargs.get("store"))) is not None:
        # Set here for mapped tasks too: their operators are not created before they run.
        kwargs["outlets"] = outlets_for(store.destination, kwargs.get("outlets"))
    # The function's dict is the payload, not the task's outputs.
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=_KlingDecoratedOperator,
        **kwargs,
    )
