"""
Only what a DAG's author wrote is rendered as a template, once. What a task or a person filled in is data.

Airflow renders the fields of a mapped task after it has filled in what the task is mapped over. It skips the filled-in
objects themselves, but not copies of them, and with ``expand_kwargs()`` it does not skip lists and dicts. Whoever
starts a run or fills a folder could then write ``{{ conn.aws_default.password }}`` into a prompt or into the name of a
file.

A mapping of ``expand_kwargs()`` may hold any argument, also one that limits the cost or chooses the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_kling.operators.failure import fail
from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.versions import mapped_over

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from airflow.providers.common.compat.sdk import Context


class RendersAuthorsTemplates:
    """Renders what the author wrote, but not what a mapped task was mapped over."""

    #: The arguments that data may set through ``expand_kwargs()``; every other one, also a subclass's own, has to be
    #: named in the DAG file, as in ``.expand(segmind_conn_id=…)``.
    open_to_data: ClassVar[frozenset[str]] = frozenset()
    #: The arguments that the author did not write: what a task upstream, or a run's parameters, filled in.
    filled_in: frozenset[str] = frozenset()
    #: The template fields as the author wrote them, without those that were filled in. A rendered value does not show
    #: who chose it.
    written: Mapping[str, Any] = MappingProxyType({})
    #: For a mapped operator, what Airflow created it with: before ``default_args`` are added and anything is copied.
    _made_with: Mapping[str, Any] = MappingProxyType({})

    def __new__(cls, *_: Any, **arguments: Any) -> Self:
        """Save what Airflow creates a mapped operator with: nothing else shows what it was mapped over."""
        operator = super().__new__(cls)
        if arguments.get("_airflow_from_mapped"):
            vars(operator)["_made_with"] = arguments
        return operator

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: Any,
        seen_oids: set[int],
        **kwargs: Any,
    ) -> None:
        # Airflow calls it on the operator that it has created from a mapped one, so that an operator can change it.
        # (Code that renders an operator by itself, such as a unit test, may have no DAG: then nothing is mapped.)
        if parent is self:
            if (dag := context.get("dag")) is not None:
                self._tell_apart(dag.task_dict[context["ti"].task_id], context, seen_oids)
            template_fields = [name for name in template_fields if name not in self.filled_in]
            self.written = {name: getattr(self, name, None) for name in template_fields}
        super()._do_render_template_fields(  # type: ignore[misc] # of Airflow's operators
            parent, template_fields, context, jinja_env, seen_oids, **kwargs
        )

    def _tell_apart(self, mapped: Any, context: Context, seen_oids: set[int]) -> None:
        """
        Find out which of its arguments the task was mapped over, if it is mapped.

        :raises SegmindInputError: data has set what it may not set.
        """
        index = context["ti"].map_index or 0
        if expanded := getattr(mapped, "op_kwargs_expand_input", None):  # of a function
            given: Mapping[str, Any] = vars(self)["op_kwargs"]
            names = _filled_in(expanded.value, index, given, mapped.partial_kwargs["op_kwargs"])
            seen_oids.update(id(given[name]) for name in names)
        elif expanded := getattr(mapped, "expand_input", None):
            unmapped = mapped._get_unmap_kwargs({}, strict=False)  # noqa: SLF001 Airflow's own, since 2.3
            self.filled_in = _filled_in(expanded.value, index, self._made_with, unmapped)
            if not isinstance(expanded.value, Mapping):
                # Airflow merges params into what the author gave, and changes that as well: only the mapping shows it.
                asks = not _is_authors(expanded.value, index) and "params" in mapped_over(expanded, context)
                self._refuse_choices((self.filled_in | ({"params"} if asks else set())) - self.open_to_data)

    def _refuse_choices(self, names: frozenset[str]) -> None:
        if names:
            told, first = ", ".join(sorted(names)), min(names)
            may = f"only {', '.join(sorted(self.open_to_data))}" if self.open_to_data else "nothing"
            error = SegmindInputError(
                f"{told}: data in expand_kwargs() may set {may} of a {type(self).__name__}. Leave "
                f"{told} out of it; to let data set it, name it in the DAG file, as in .expand({first}=…) or as a "
                f"template in .partial({first}=…). Nothing was sent."
            )
            fail(self, error)  # type: ignore[arg-type] # it is an operator


def _filled_in(written: Any, map_index: int, given: Mapping[str, Any], unmapped: Mapping[str, Any]) -> frozenset[str]:
    """
    Return which of a mapped task's arguments its author did not write.

    :param written: what the author has given to ``expand()`` or ``expand_kwargs()``.
    :param given: all arguments that the task got.
    :param unmapped: what it would have got without the mapping; with ``strict=False`` some is replaced.
    """
    if isinstance(written, Mapping):  # .expand(payload=…)
        return frozenset(name for name, value in written.items() if not _is_literal(value))
    if _is_authors(written, map_index):
        return frozenset()
    # Airflow copies params each time.
    names = given.keys() - {"params", "_airflow_from_mapped"}
    return frozenset(name for name in names if name not in unmapped or given[name] is not unmapped[name])


def _is_authors(written: Any, map_index: int) -> bool:
    """Whether a mapping is written in the DAG file, as in ``.expand_kwargs([{"payload": …}, …])``."""
    return _is_literal(written) and isinstance(written[map_index], Mapping)


def _is_literal(value: Any) -> bool:
    """Whether it is written in the DAG file as it is; Airflow resolves anything else when the task runs."""
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str)
