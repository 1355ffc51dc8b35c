"""The operator that saves results from Segmind before their links die."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.operators.failure import fail
from airflow_provider_kling.operators.rendering import RendersAuthorsTemplates
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.storage.asset_events import check_assets, outlets_for
from airflow_provider_kling.storage.names import DEFAULT_NAME, check_name_from_data, is_end_written
from airflow_provider_kling.storage.store import DEFAULT_MAX_BYTES, Store
from airflow_provider_kling.xcoms import Traceable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.ledger.results import JobLedger

__all__ = ["SegmindToObjectStorageOperator"]


class SegmindToObjectStorageOperator(RendersAuthorsTemplates, Traceable, BaseOperator):
    """
    Save every file of a finished job in object storage, checked and described.

    Segmind deletes a file seven days after it was made. A retry fetches what is missing and nothing else,
    and pays nothing. A file appears under its name only when it is complete; a JSON file beside it says how it was made
    and from what. A cleared task replaces its own file; the name of any other file is refused: clear this task alone
    then, with another ``name``.

    The return value is a list with, for each file, ``path``, ``sha256``, ``size``, ``type``, ``width``,
    ``height``, ``duration`` and ``sidecar``. Each file adds an event to an asset (on Airflow 2, a dataset), with the
    facts of its description: to each ``Asset`` among the task's ``outlets``, and without outlets to the destination's.

    :param result: what :class:`KlingSensor` returned, or a request id. (templated)
    :param destination: the URL of a folder, such as ``s3://bucket/prefix`` or ``file:///data``. A rendered destination
        has to lie in the folder in front of the first template; see
        :class:`~airflow_provider_kling.storage.store.Store`. (templated)
    :param name: the path below it; see :class:`~airflow_provider_kling.storage.store.Store`. (templated)
    :param segmind_conn_id: the connection that submitted the job. (templated)
    :param storage_conn_id: the connection of the object storage, where it needs one. (templated)
    :param max_bytes: the largest file that is fetched; 2 GiB.
    :param ledger_conn_id: the ledger's connection, in place of the one in Airflow's config, ``[kling] ledger_conn_id``:
        it gets to know where the files are.
    :raises KlingDownloadError: the file could not be fetched; a retry continues.
    :raises KlingFileExpiredError: it is gone; the task fails at once.
    :raises KlingStorageError: the file could not be saved at the destination.
    """

    template_fields: Sequence[str] = ("result", "destination", "name", "segmind_conn_id", "storage_conn_id")
    open_to_data = frozenset({"result", "destination", "name"})
    ui_color = "#d6e8f0"

    def __init__(
        self,
        *,
        result: Mapping[str, Any] | str | Any,
        destination: str,
        name: str = DEFAULT_NAME,
        segmind_conn_id: str = DEFAULT_CONN_ID,
        storage_conn_id: str | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        ledger_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.result = result
        self.destination = destination
        self.name = name
        self.segmind_conn_id = segmind_conn_id
        self.storage_conn_id = storage_conn_id
        self.max_bytes = max_bytes
        self.ledger_conn_id = ledger_conn_id
        self._store()  # an error shows when the DAG file is parsed
        self.outlets = outlets_for(destination, self.outlets)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Return the operator to be mapped, with the outlets of its tasks, which Airflow has to know in advance."""
        mapped = super().partial(**kwargs)
        if "destination" in kwargs:
            destination = Store(kwargs["destination"]).destination
            mapped.kwargs["outlets"] = outlets_for(destination, mapped.kwargs["outlets"])
        return mapped

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that asks about the job."""
        from airflow_provider_kling.hooks.segmind import SegmindHook

        return SegmindHook(self.segmind_conn_id)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Save the files that are not saved yet."""
        from airflow_provider_kling.storage.save import save_outputs

        try:
            if "name" in self.filled_in or not is_end_written(self.written.get("name")):
                check_name_from_data(self.name)
            store = self._store().checked(self.written.get("destination"), self.written.get("storage_conn_id"))
            check_assets(context, store)
            return save_outputs(context, self.result, store, self.hook, self.log, ledger_of=self._ledger)
        except SegmindError as error:
            fail(self, error)

    def _ledger(self, request_id: str) -> JobLedger | None:
        from airflow_provider_kling.ledger.configured import ledger_conn_id

        if ledger_conn_id(self.ledger_conn_id) is None:
            return None
        from airflow_provider_kling.ledger.results import job_ledger

        return job_ledger(self.ledger_conn_id, self.hook.settings.host, request_id, self.log)

    def _store(self) -> Store:
        return Store(self.destination, self.name, self.storage_conn_id or None, self.max_bytes)
