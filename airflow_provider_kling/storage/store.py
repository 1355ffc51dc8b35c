"""Where files are saved."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_kling.payloads.templates import is_template, renders_to_nothing
from airflow_provider_kling.segmind.errors import KlingStorageError, SegmindInputError
from airflow_provider_kling.storage.allowed_paths import STORE_ALLOWED_PATHS, Named, connection_of, plain
from airflow_provider_kling.storage.names import DEFAULT_NAME, check_name_from_data, check_template, is_end_written

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

__all__ = ["Store"]

#: The largest file that is fetched by default: several times the largest that a Kling model makes.
DEFAULT_MAX_BYTES = 2 * 1024**3

_NO_FOLDER = re.compile(r"[*?\[\]\\]|::")


#: Characters of a folder's URL: as many as a path has.
LONGEST_DESTINATION = 4096


@dataclass(frozen=True, slots=True)
class Store:
    """
    Where results are saved, and under which names.

    A rendered destination has to lie in the folder that the author wrote in front of the first template, such as
    ``s3://bucket/clips`` of ``s3://bucket/clips/{{ params.shop }}``; if there is none, in a folder of
    ``[kling] store_allowed_paths`` in Airflow's config.

    :param destination: the URL of a folder, such as ``s3://bucket/prefix`` or ``file:///data``, or an absolute
        local path; may hold Jinja templates.
    :param name: the path below it: ``{dag_id}``, ``{run_id}``, ``{task_id}``, ``{map_index}``, ``{index}`` (of the
        output), ``{request_id}``, ``{model}``, and ``.{ext}`` at the end; may hold Jinja templates.
    :param storage_conn_id: the Airflow connection of the object storage, where it needs one and the destination names
        none.
    :param max_bytes: the largest file that is fetched.
    :raises SegmindInputError: a name or a destination that cannot work.
    """

    destination: str
    name: str = DEFAULT_NAME
    storage_conn_id: str | None = None
    max_bytes: int = DEFAULT_MAX_BYTES

    def __post_init__(self) -> None:
        if not is_template(self.destination):
            _check_destination(self.destination)
        check_template(self.name)
        if self.max_bytes <= 0:
            raise SegmindInputError(f"max_bytes: {self.max_bytes!r} must be above 0.")

    def resolve(self, context: Context) -> Store:
        """
        Return it with its templates rendered.

        :raises SegmindInputError: they lead to a place where nothing may be saved.
        """
        render = context["task"].render_template
        rendered = {name: render(getattr(self, name), context) for name in ("destination", "name", "storage_conn_id")}
        if renders_to_nothing(rendered["storage_conn_id"]):
            rendered["storage_conn_id"] = None
        if not is_end_written(self.name):
            check_name_from_data(rendered["name"])
        return replace(self, **rendered).checked(self.destination, self.storage_conn_id)

    def checked(self, written: Any, written_conn_id: Any) -> Store:
        """
        Return it, with its templates already rendered, if results may be saved in it.

        :param written: the destination as the author wrote it; None if it was filled in, the name too.
        :param written_conn_id: the storage connection, likewise.
        :raises SegmindInputError: nothing may be saved there.
        """
        _check_destination(self.destination)
        if written is None:
            check_name_from_data(self.name)
        named = Named(self.destination, self.storage_conn_id)
        if reason := named.refusal(Named(written, written_conn_id), STORE_ALLOWED_PATHS):
            raise SegmindInputError(f"destination: nothing may be saved in {self.destination!r}: {reason}.")
        return replace(self, destination=plain(self.destination))

    def folder(self) -> ObjectStoragePath:
        """
        Return the destination on its filesystem.

        :raises SegmindInputError: no installed package can reach such a storage.
        :raises KlingStorageError: its connection does not exist, or cannot be read.
        """
        from airflow.providers.common.compat.sdk import AirflowNotFoundException, ObjectStoragePath

        try:
            conn_id = connection_of(self.destination, self.storage_conn_id)
            folder = ObjectStoragePath(plain(self.destination).rstrip("/"), conn_id=conn_id)
            folder.fs  # noqa: B018 finds the filesystem
        except AirflowNotFoundException as exc:
            raise KlingStorageError(
                f"storage_conn_id: the connection of {self.destination!r} does not exist, or what holds it did not "
                f"answer ({exc}); add it, or name another."
            ) from exc
        except (ValueError, ImportError) as exc:
            scheme = urlsplit(self.destination).scheme
            raise SegmindInputError(
                f"destination: {self.destination!r} cannot be reached ({exc}); install the provider package of its "
                f"storage, for s3 apache-airflow-providers-amazon[s3fs], and check {scheme!r}."
            ) from exc
        return folder


def as_store(store: Store | str | None) -> Store | None:
    """Return what an author gives as ``store``: a store, the URL of a folder, or nothing."""
    return Store(store) if isinstance(store, str) else store


def _check_destination(destination: str) -> None:
    if not isinstance(destination, str) or not destination.strip():
        raise SegmindInputError(f"destination: {destination!r} is not the URL of a folder such as s3://bucket/prefix.")
    if len(destination) > LONGEST_DESTINATION:  # urlsplit takes minutes for some
        raise SegmindInputError(
            f"destination: has {len(destination)} characters, at most {LONGEST_DESTINATION} are allowed."
        )
    parts = urlsplit(destination)
    if not parts.scheme and not destination.startswith("/"):
        raise SegmindInputError(
            f"destination: {destination!r} would be relative to wherever a worker happens to run; use a URL such as "
            "s3://bucket/prefix or file:///data, or an absolute path."
        )
    if parts.scheme in {"file", "local"} and not destination.startswith(f"{parts.scheme}:///"):
        raise SegmindInputError(f"destination: {destination!r} names no folder; on a disk write file:///data or /data.")
    if parts.query or parts.fragment or _NO_FOLDER.search(destination) or not destination.isprintable():
        raise SegmindInputError(f"destination: {destination!r} holds characters that no folder's URL should.")
    if ".." in parts.path.split("/"):
        raise SegmindInputError(f"destination: {destination!r} leads up with '..'; name the folder itself.")
