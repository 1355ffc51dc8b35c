"""
One file of a finished job: downloaded, checked, named and described.

What must not be relaxed:

* A file gets its final name when it is complete and checked, after its description, which claims the name.
* A file of another job is never overwritten, unless the same task instance has saved it before it was cleared.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_kling.media.measure import Shape, shape
from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.segmind.errors import (
    KlingDownloadError,
    KlingNameTakenError,
    KlingStorageError,
    SegmindError,
    SegmindInputError,
)
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.storage.folder import Folder
from airflow_provider_kling.storage.lineage import Lineage, describe
from airflow_provider_kling.storage.name_claim import NameClaim, Owner
from airflow_provider_kling.storage.names import Name, render, task_values
from airflow_provider_kling.storage.open_files import UnfitFileError, opened
from airflow_provider_kling.storage.output_downloads import OutputDownloads
from airflow_provider_kling.storage.sidecar import Made, Sidecar, bare, read_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.media.measure import MediaType
    from airflow_provider_kling.segmind.history import HistoryRow
    from airflow_provider_kling.storage.partial_file import Part
    from airflow_provider_kling.storage.store import Store


#: Bytes read at once of a saved file on an object store, to check whether it decodes.
READ_BLOCK = 1024**2


@dataclass(frozen=True, slots=True)
class SavedFile:
    """
    One file in its place.

    :param path: its URL, with the storage connection in it: ``ObjectStoragePath(path)`` opens it.
    :param uri: the same without the connection.
    :param sidecar: its description, as ``path``.
    :param link: where it came from.
    :param facts: the description, without where its inputs came from.
    """

    path: str
    uri: str
    sidecar: str
    link: str
    facts: Mapping[str, Any]

    def as_xcom(self) -> dict[str, Any]:
        """Return what a task passes on."""
        measured = {name: self.facts.get(name) for name in ("sha256", "size", "type", "width", "height", "duration")}
        return {"path": self.path, **measured, "sidecar": self.sidecar}


class FileSaver:
    """Saves the files of one job."""

    def __init__(
        self,
        context: Context,
        output: Mapping[str, Any],
        store: Store,
        hook: SegmindHook,
        log: Any,
        payload: Mapping[str, Any] | None,
        *,
        is_own_job: bool,
        saved_before: Sequence[Sequence[Mapping[str, Any]]] = (),
    ) -> None:
        self.context = context
        self.ti = context["ti"]
        self.output = output
        self.request_id: str = output["request_id"]
        self.store = store
        self.hook = hook
        self.log = log
        self.payload = payload
        self.is_own_job = is_own_job
        self.folder = Folder.of(store)
        self.fs = self.folder.fs
        self.owner = Owner.of(context)
        self._downloads = OutputDownloads(
            self.request_id, self.owner, store, hook, self.fs, log, saved_before, outputs=len(output["urls"])
        )
        self._claim = NameClaim(self.folder, self.owner, self.request_id, "" if is_own_job else self._way_out())

    def save(self, index: int, link: str) -> SavedFile:
        """
        Save one file.

        A task that has paid for it saves it under another name if its own is taken or not valid: beside that, or else
        directly in the destination.
        """
        if not self.is_own_job:
            return self._save_as(self._name(index), index, link)
        from airflow_provider_kling.storage.partial_file import refuses_name

        last = Name.of(f"{self.request_id}-{index}")
        try:
            name = self._name(index)
            names = [name, name.marked(last.stem), last]
        except SegmindInputError as error:  # the request id makes it too long
            self.log.warning("%s", error)
            names = [last]
        for name, other in pairwise(names):
            try:
                return self._save_as(name, index, link)
            except KlingStorageError as error:
                if not (isinstance(error, KlingNameTakenError) or refuses_name(error)):
                    raise
                beside = f"{self.folder.url(self.folder.root)}/{other.stem}"
                self.log.warning("%s The file is saved beside it, as %r.", str(error).strip(), beside)
        try:
            return self._save_as(last, index, link)
        except KlingNameTakenError as error:  # somebody has taken every name that could be known in advance
            other = Name.of(f"{last.stem}-{secrets.token_hex(4)}")
            self.log.warning("%s The file is saved as %r.", str(error).strip(), other.stem)
            return self._save_as(other, index, link)

    def _save_as(self, name: Name, index: int, link: str) -> SavedFile:
        sidecar = self.folder.path(name.sidecar)
        there = self._description_at(sidecar)
        if there is not None:
            self._claim.refuse_foreign(there, index, sidecar, link)
            if self._claim.is_own(there, index, link) and self._is_whole(there, sidecar):
                self.log.info("%s is there already, complete; it is not fetched again.", self.folder.url(sidecar))
                return self._saved(there, sidecar)
        part, type_ = self._downloads.download(index, link, sidecar, self._kind)
        try:
            measured = self._measured(part, type_)
            target = self.folder.path(name.file(type_.extension))
            description = self._described(index, link, part, type_, target, measured)
            self._claim.make(sidecar, target, description, there)
            part.move(target)
        except Exception:
            part.discard()
            raise
        except BaseException:  # a timeout, or the worker is stopped: the next attempt uses what has arrived
            part.keep()
            raise
        if there is not None and there.request_id != self.request_id:
            self._replaced(there, name, description)
        self.log.info("Saved %s (%s, %d bytes).", self.folder.url(target), type_.mime, part.size)
        return self._saved(description, sidecar)

    def _replaced(self, there: Sidecar, name: Name, description: Sidecar) -> None:
        """Log which file was replaced, and remove it if it has another extension."""
        former = one_line(there.request_id)
        self.log.info("It replaces the file of request %s, which this task saved before.", former)
        if there.file == description.file or not name.is_name_of(there.file):
            return
        path = f"{self.folder.path(name.stem).rpartition('/')[0]}/{there.file}"
        try:
            self.fs.rm_file(path)
        except Exception as exc:  # noqa: BLE001 because the new file is there, whatever becomes of the old one
            self.log.warning("%s could not be removed (%s).", one_line(self.folder.url(path)), one_line(exc))

    def _way_out(self) -> str:
        return (
            "Move it away, or put {request_id} or another placeholder into name=; then clear this task alone: it "
            f"fetches the file of request {self.request_id} and pays nothing."
        )

    def _description_at(self, sidecar: str) -> Sidecar | None:
        from airflow_provider_kling.storage.partial_file import storing

        with storing(sidecar):
            self.fs.invalidate_cache(sidecar.rpartition("/")[0])
            return read_sidecar(self.fs, sidecar)

    def _name(self, index: int) -> Name:
        return render(
            self.store.name,
            {
                **task_values(self.context),
                "index": index,
                "request_id": self.request_id,
                "model": self._model or "unknown",
            },
        )

    @cached_property
    def _lineage(self) -> Lineage:
        return Lineage.of_run(self.context, self.hook, self.store.storage_conn_id, self.log)

    @cached_property
    def _row(self) -> HistoryRow | None:
        """The request history's row, only for the description, which is not worth a wait."""
        return self._lineage.past(self.request_id)

    @cached_property
    def _model(self) -> str | None:
        model: str | None = self.output.get("model")
        if model or "{model}" not in self.store.name:
            return model
        try:
            row = self._downloads.row
        except SegmindError as error:
            self.log.warning("The model of request %s cannot be read: %s", self.request_id, error)
            return None
        return row.model_name if row else None

    @property
    def dead_links(self) -> set[str]:
        """The links of outputs that were copied, because they are dead."""
        return self._downloads.dead_links

    @property
    def _kind(self) -> Literal["image", "video"] | None:
        payload_class = get_payload_class(self._model) if self._model else None
        kind = payload_class.output if payload_class else None
        return None if kind == "voice" else kind

    def _measured(self, part: Part, type_: MediaType) -> Shape:
        with opened(self.fs, part.path, block_size=READ_BLOCK) as file:
            try:
                measured = shape(file)  # type: ignore[arg-type]
            except ValueError as exc:
                from airflow_provider_kling.storage.partial_file import NOT_LOST

                raise KlingDownloadError(
                    f"Output of request {self.request_id}: {part.size} bytes of {type_.mime} came, but {exc}. "
                    f"{NOT_LOST}"
                ) from None
        return measured or Shape()

    def _described(self, index: int, link: str, part: Part, type_: MediaType, target: str, measured: Shape) -> Sidecar:
        return Sidecar(
            **dict(self._made(link)),
            index=index,
            file=target.rpartition("/")[2],
            size=part.size,
            sha256=part.sha256,
            type=type_.mime,
            width=measured.width,
            height=measured.height,
            duration=measured.duration,
            **asdict(self.owner),
            stored_at=datetime.now(tz=UTC),
        ).fitted()

    def _made(self, link: str) -> Made:
        """Return how the file was made, as far as it is known: a paid file is not lost because of its description."""
        try:
            return self._making.model_copy(update={"url": bare(link)})
        except Exception as exc:  # noqa: BLE001 because an answer, an XCom or a history may hold anything
            self.log.warning("How request %s was made cannot be described: %s", self.request_id, one_line(exc))
            return Made(request_id=self.request_id, url=bare(link))

    @cached_property
    def _making(self) -> Made:
        """How the job was made; the same for all its files."""
        row = None if self.payload is not None and self._model else self._row
        return describe(self.output, self.output["urls"][0], row, self._lineage, payload=self.payload)

    def _is_whole(self, there: Sidecar, sidecar: str) -> bool:
        path, whole = f"{sidecar.rpartition('/')[0]}/{there.file}", hashlib.sha256()
        try:
            if self.fs.size(path) != there.size:
                return False
            with opened(self.fs, path, block_size=READ_BLOCK) as file:
                while chunk := file.read(READ_BLOCK):
                    whole.update(chunk)
        except (FileNotFoundError, UnfitFileError):
            return False
        return whole.hexdigest() == there.sha256

    def _saved(self, description: Sidecar, sidecar: str) -> SavedFile:
        path = f"{sidecar.rpartition('/')[0]}/{description.file}"
        return SavedFile(
            path=self.folder.url(path),
            uri=self.folder.url(path, conn=""),
            sidecar=self.folder.url(sidecar),
            link=bare(description.url or ""),
            facts=description.facts(),
        )
