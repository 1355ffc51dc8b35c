"""
Keeping the files of a finished job: fetched, checked, named and described.

What must not be relaxed:

* A final name appears with a whole file that was checked, after its description, which claims the name.
* A file of another job is never overwritten, unless the same task instance has saved it before it was cleared.
* Nothing here submits: whatever fails can be tried again for nothing.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.segmind.errors import (
    KlingDownloadError,
    KlingFileExpiredError,
    KlingNameTakenError,
    KlingStorageError,
    SegmindError,
    SegmindInputError,
    SegmindRequestNotFoundError,
)
from airflow_provider_kling.segmind.matching import created_at
from airflow_provider_kling.segmind.refusals import one_line
from airflow_provider_kling.siblings import FILES_KEY
from airflow_provider_kling.storage.asset_events import register_events
from airflow_provider_kling.storage.claiming import Claim, Owner
from airflow_provider_kling.storage.finished import finished
from airflow_provider_kling.storage.folder import Folder
from airflow_provider_kling.storage.lineage import Lineage, describe
from airflow_provider_kling.storage.media import Shape, shape
from airflow_provider_kling.storage.naming import Name, render, task_values
from airflow_provider_kling.storage.opening import UnfitFileError, opened
from airflow_provider_kling.storage.sidecar import Made, Sidecar, bare, read_sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.segmind.schemas import HistoryRow
    from airflow_provider_kling.storage.media import MediaType
    from airflow_provider_kling.storage.part import Part
    from airflow_provider_kling.storage.store import Store

T = TypeVar("T")

#: Bytes read at once of a kept file on an object store, to see whether it decodes.
READ_BLOCK = 1024**2
#: How long Segmind keeps a job's files.
KEPT_FOR = timedelta(days=7)
#: The files of one job; no Kling model is known to make more than nine.
MOST_FILES = 16
#: Seconds after which a file that should be there is looked for again.
YOUNG_PAUSES = (1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Kept:
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
        """Return what a task hands on."""
        measured = {name: self.facts.get(name) for name in ("sha256", "size", "type", "width", "height", "duration")}
        return {"path": self.path, **measured, "sidecar": self.sidecar}


def keep(
    context: Context,
    result: Mapping[str, Any] | str,
    store: Store,
    hook: SegmindHook,
    log: Any,
    *,
    payload: Mapping[str, Any] | None = None,
    is_own_job: bool = False,
) -> list[dict[str, Any]]:
    """
    Keep every file of a finished job, and add their asset events; what an earlier attempt kept is not fetched again.

    :param context: of the task that keeps them.
    :param result: what the sensor returned, or a request id.
    :param store: where, and under which names; its templates are rendered: :meth:`Store.resolve`.
    :param hook: of the connection that submitted the job.
    :param log: the task's logger.
    :param payload: what was sent, where the caller knows it; by default the request history is asked.
    :param is_own_job: whether the task has paid for the job: then a name that is another's by now costs no file. It is
        saved under a name beside that one.
    :return: for each file ``path``, ``sha256``, ``size``, ``type``, ``width``, ``height``, ``duration`` and
        ``sidecar``.
    :raises SegmindError: see :mod:`airflow_provider_kling.segmind.errors`; the job is not lost.
    """
    output = finished(result, hook)
    keeper = _Keeper(context, output, store, hook, log, payload, is_own_job=is_own_job)
    if len(output["urls"]) > MOST_FILES:
        log.warning(
            "Request %s has %d links in its output, more than any Kling model makes files: the first %d are kept.",
            output["request_id"],
            len(output["urls"]),
            MOST_FILES,
        )
    kept, errors = [], []
    for index, link in enumerate(output["urls"][:MOST_FILES]):
        try:
            kept.append(keeper.keep(index, link))
        except SegmindError as error:  # the others are paid for, too
            error.request_id = error.request_id or output["request_id"]
            errors.append(error)
    for failed in errors:
        if not kept or failed.retryable or not isinstance(failed, KlingDownloadError):
            raise failed
        log.warning("%s The other files of request %s are saved.", failed, output["request_id"])
    register_events(context, kept, store.destination, log)
    known = {
        file.link: {"path": file.path, "sidecar": keeper.folder.real(file.sidecar), "sha256": file.facts["sha256"]}
        for file in kept
    }
    context["ti"].xcom_push(key=FILES_KEY, value=known)
    return [file.as_xcom() for file in kept]


class _Keeper:
    """Keeps the files of one job."""

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
        self._silent = False
        self.folder = Folder.of(store)
        self.fs = self.folder.fs
        self.owner = Owner.of(context)
        self._claim = Claim(self.folder, self.owner, self.request_id, "" if is_own_job else self._way_out())

    def keep(self, index: int, link: str) -> Kept:
        """
        Keep one file.

        A task that has paid for it saves it under another name where its own is taken, or cannot be any file's: beside
        that, or else right in the destination.
        """
        if not self.is_own_job:
            return self._keep_as(self._name(index), index, link)
        from airflow_provider_kling.storage.part import refuses_name

        last = Name.of(f"{self.request_id}-{index}")
        try:
            name = self._name(index)
            names = [name, name.marked(last.stem), last]
        except SegmindInputError as error:  # its id makes it too long
            self.log.warning("%s", error)
            names = [last]
        for name, other in pairwise(names):
            try:
                return self._keep_as(name, index, link)
            except KlingStorageError as error:
                if not (isinstance(error, KlingNameTakenError) or refuses_name(error)):
                    raise
                beside = f"{self.folder.url(self.folder.root)}/{other.stem}"
                self.log.warning("%s The file is saved beside it, as %r.", str(error).strip(), beside)
        return self._keep_as(last, index, link)

    def _keep_as(self, name: Name, index: int, link: str) -> Kept:
        sidecar = self.folder.path(name.sidecar)
        there = self._look(sidecar)
        if there is not None:
            self._claim.refuse_foreign(there, index, sidecar)
            if there.request_id == self.request_id and self._is_whole(there, sidecar):
                self.log.info("%s is there already, whole; it is not fetched again.", self.folder.url(sidecar))
                return self._kept(there, sidecar)
        part, type_ = self._fetch(index, link, sidecar)
        try:
            measured = self._measured(part, type_)
            target = self.folder.path(name.file(type_.extension))
            description = self._described(index, link, part, type_, target, measured)
            self._claim.make(sidecar, target, description, there)
            part.move(target)
        except Exception:
            part.discard()
            raise
        except BaseException:  # a timeout, or the worker is told to stop: what has come is the next attempt's
            part.keep()
            raise
        if there is not None and there.request_id != self.request_id:
            self._replaced(there, name, description)
        self.log.info("Kept %s (%s, %d bytes).", self.folder.url(target), type_.mime, part.size)
        return self._kept(description, sidecar)

    def _replaced(self, there: Sidecar, name: Name, description: Sidecar) -> None:
        """Tell of the file whose place was taken, and remove it where it has another ending."""
        former = one_line(there.request_id)
        self.log.info("It takes the place of the file of request %s, which this task saved before.", former)
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

    def _look(self, sidecar: str) -> Sidecar | None:
        from airflow_provider_kling.storage.part import storing

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
        """The same, for the description, which is worth no wait."""
        return self._lineage.past(self.request_id)

    @cached_property
    def _model(self) -> str | None:
        model: str | None = self.output.get("model")
        if model or "{model}" not in self.store.name:
            return model
        try:
            return self._known_row.model_name if self._known_row else None
        except SegmindError as error:
            self.log.warning("What model request %s is of cannot be asked: %s", self.request_id, error)
            return None

    def _fetch(self, index: int, link: str, sidecar: str) -> tuple[Part, MediaType]:
        """Fetch it from where it is, or where the history says it is now; look again for one that should be there."""
        renewed = False
        for pause in (*YOUNG_PAUSES, None):
            try:
                return self._download(index, link, sidecar)
            except KlingFileExpiredError as error:
                gone = error
            fresh = self._fresh_link(index)
            if fresh not in {None, link} and not renewed:  # once: a signed link differs each time
                self.log.warning("%s The request history has a link that is newer.", gone)
                link, renewed = str(fresh), True
                continue
            self._refuse_expired(index, gone)
            if pause is not None:
                self.log.warning("%s It should be there; looking again in %.0f s.", gone, pause)
                time.sleep(pause)
        self._refuse_expired(index, gone)
        raise KlingDownloadError(
            f"{gone} {self._age()}: a retry, or clearing this task, fetches it again. Nothing is paid for that.",
            request_id=self.request_id,
            status_code=gone.status_code,
        )

    def _refuse_expired(self, index: int, gone: KlingFileExpiredError) -> None:
        created = created_at(self._known_row) if self._known_row else None
        if created is not None and datetime.now(tz=UTC) - created > KEPT_FOR:
            raise KlingFileExpiredError(
                f"{gone} Segmind keeps a file for seven days, and its request history has no other link: output "
                f"{index} of request {self.request_id} has expired. Only a new job can make it again.",
                request_id=self.request_id,
                status_code=gone.status_code,
            )

    def _age(self) -> str:
        if self._known_row and created_at(self._known_row):
            return f"Request {self.request_id} is not {KEPT_FOR.days} days old, so its file should be there"
        return (
            f"The request history does not tell how old request {self.request_id} is, whose file Segmind keeps for "
            f"{KEPT_FOR.days} days"
        )

    @cached_property
    def _known_row(self) -> HistoryRow | None:
        """What the request history knows of the job, which has to be known."""
        return self._asked(lambda: self.hook.find_row(self.request_id))

    def _fresh_link(self, index: int) -> str | None:
        found = self._asked(lambda: self.hook.find_request(self.request_id))
        return found.urls[index] if found and index < len(found.urls) else None

    def _asked(self, ask: Callable[[], T]) -> T | None:
        """Ask the history; where it does not answer it knows nothing, and is not asked for another file."""
        if self._silent:
            return None
        try:
            return ask()
        except SegmindRequestNotFoundError:
            return None
        except SegmindError as error:
            self._silent = True
            self.log.warning("What the request history knows of request %s is unread: %s", self.request_id, error)
            return None

    def _download(self, index: int, link: str, sidecar: str) -> tuple[Part, MediaType]:
        from airflow_provider_kling.storage.download import Download
        from airflow_provider_kling.storage.hosts import Hosts
        from airflow_provider_kling.storage.part import Part

        whose = hashlib.sha256(f"{sidecar} {self.request_id} {index}".encode()).hexdigest()[:16]
        return Download(
            link,
            lambda version: Part.begin(self.fs, sidecar.rpartition("/")[0], f"kling-{whose}", version),
            kind=self._kind,
            hosts=Hosts.of(self.hook.settings),
            timeout=self.hook.settings.timeout,
            max_bytes=self.store.max_bytes,
            log=self.log,
        ).run()

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
                from airflow_provider_kling.storage.part import NOT_LOST

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
        """Return how the file was made, as far as that can be told: it is paid, and is not lost for its description."""
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

    def _kept(self, description: Sidecar, sidecar: str) -> Kept:
        path = f"{sidecar.rpartition('/')[0]}/{description.file}"
        return Kept(
            path=self.folder.url(path),
            uri=self.folder.url(path, conn=""),
            sidecar=self.folder.url(sidecar),
            link=bare(description.url or ""),
            facts=description.facts(),
        )
