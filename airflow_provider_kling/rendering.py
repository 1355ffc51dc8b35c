"""
Only what a DAG's author wrote is rendered as a template, once. What a task or a person filled in is data.

Airflow renders the fields of a mapped task after it has filled in what it was mapped over. It leaves out the very
objects that were filled in, but not copies of them, and of ``expand_kwargs()`` no lists and dicts. Whoever starts a run
or fills a folder could then write ``{{ conn.aws_default.password }}`` into a prompt or into the name of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.providers.common.compat.sdk import Context


class RendersAuthorsTemplates:
    """Renders what the author wrote, and leaves as it is what a mapped task was mapped over."""

    #: The arguments that the author did not write: what a task upstream, or a run's parameters, filled in.
    filled_in: frozenset[str] = frozenset()
    #: The template fields as the author wrote them, without those that were filled in. Not even a value that is no
    #: template any more tells who chose it.
    written: Mapping[str, Any] = MappingProxyType({})

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Iterable[str],
        context: Context,
        jinja_env: Any,
        seen_oids: set[int],
        **kwargs: Any,
    ) -> None:
        # Airflow calls it of the operator that it has made of a mapped one, so that an operator can say how.
        # (Whoever renders an operator by hand, as a unit test does, may have no DAG at hand: then nothing is mapped.)
        if parent is self:
            if (dag := context.get("dag")) is not None:
                self._tell_apart(dag.task_dict[context["ti"].task_id], context["ti"].map_index or 0, seen_oids)
            template_fields = [name for name in template_fields if name not in self.filled_in]
            self.written = {name: getattr(self, name, None) for name in template_fields}
        super()._do_render_template_fields(  # type: ignore[misc] # of Airflow's operators
            parent, template_fields, context, jinja_env, seen_oids, **kwargs
        )

    def _tell_apart(self, mapped: Any, index: int, seen_oids: set[int]) -> None:
        """Learn which of its arguments a task that may be mapped was mapped over."""
        # With strict=False any argument may have been replaced, those that the author gave too; Airflow tells not which.
        kept = getattr(mapped, "_disallow_kwargs_override", True)
        if (expanded := getattr(mapped, "expand_input", None)) is not None:
            self.filled_in = _filled_in(expanded.value, index, mapped.partial_kwargs if kept else (), vars(self))
        if (expanded := getattr(mapped, "op_kwargs_expand_input", None)) is not None:  # of a function
            given: Mapping[str, Any] = vars(self)["op_kwargs"]
            partial = mapped.partial_kwargs["op_kwargs"] if kept else ()
            names = _filled_in(expanded.value, index, partial, given)
            seen_oids.update(id(given[name]) for name in names)


def _filled_in(written: Any, map_index: int, partial: Iterable[str], arguments: Iterable[str]) -> frozenset[str]:
    """
    Return which of a mapped task's arguments its author did not write.

    :param written: what the author has given to ``expand()`` or ``expand_kwargs()``.
    :param partial: what the author has given to ``partial()``.
    :param arguments: all that there are.
    """
    if isinstance(written, Mapping):  # .expand(payload=…)
        return frozenset(name for name, value in written.items() if not _is_literal(value))
    if _is_literal(written) and isinstance(written[map_index], Mapping):  # .expand_kwargs([{"payload": …}, …])
        return frozenset()
    return frozenset(arguments) - frozenset(partial)


def _is_literal(value: Any) -> bool:
    """Whether it stands in the DAG file as it is; anything else Airflow asks for when the task runs."""
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str)
