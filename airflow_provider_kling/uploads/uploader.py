"""
Uploads, once for each content within a run; with a ledger, once a job has used them, for all runs.

An upload costs nothing, but each one gives the same file another address, and a job is recognised by the addresses it
was sent with. So they are saved before anything is submitted: in the task's state, which outlives the attempt (Airflow
3.3+), and as an XCom, which the other tasks of the run read. What was submitted has its addresses in its record too.

Two tasks that upload the same file at the same moment do not see each other, and both upload it. Below Airflow 3.3
an attempt that uploads begins without the previous attempt's addresses, because those XComs are gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.segmind.sanitize import one_line, shortened
from airflow_provider_kling.storage.open_files import UnfitFileError
from airflow_provider_kling.storage.sidecar import beside
from airflow_provider_kling.uploads.source_files import stage
from airflow_provider_kling.versions import task_state_store
from airflow_provider_kling.xcoms import FILES_KEY, Traceable, Uploader, published, siblings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow.providers.common.compat.sdk import DAG, Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.ledger.uploads import SharedUploads
    from airflow_provider_kling.uploads.source_files import Staged

#: The key of the addresses in the task's state, and of their XCom: by upload host, then by sha256.
UPLOADS_KEY = "kling_uploads"

#: Each save writes all addresses: they are saved after this many files, and at the end.
KEPT_EVERY = 20

_UPLOADS = TypeAdapter(dict[str, dict[str, str]])


class Uploads:
    """
    The addresses of one task's files.

    :param hook: uploads.
    :param log: the task's logger.
    """

    def __init__(self, context: Context, hook: SegmindHook, log: Any) -> None:
        self._ti = context["ti"]
        self._store = task_state_store(context)
        self._hook = hook
        self._dag: DAG = context["dag"]
        self._log = log
        self._shared = _shared(context, hook, log)

    def addresses(self, files: Iterable[Staged], links: Collection[str] = ()) -> dict[str, str]:
        """
        Return the addresses of the files by their sha256, uploading those that the run has not uploaded yet.

        :param links: other parts of the payload. Those that are dead, and of which the run has a saved copy, get the
            address of that copy.
        :raises SegmindError: an upload failed; those before it are saved.
        """
        found, behind = self._of_dead_links(links)
        wanted = {file.sha256: file for file in files}
        if wanted:
            found |= self._of_files(wanted)
            # By this, the description of a result made from these files leads back to them.
            behind |= {
                found[sha256]: {"path": file.source, "sidecar": beside(file.place), "sha256": sha256}
                for sha256, file in wanted.items()
            }
        if found:
            self._ti.xcom_push(key=FILES_KEY, value=behind)
        return found

    def _of_dead_links(self, links: Collection[str]) -> tuple[dict[str, str], dict[str, Any]]:
        """Upload the copies of files whose links are dead; return their addresses, and what is behind these."""
        found: dict[str, str] = {}
        behind: dict[str, Any] = {}
        shown = published(self._ti, siblings(self._dag, Traceable), FILES_KEY) if links else []
        for link, facts in ((link, facts) for files in shown for link, facts in files.items()):
            if link not in links or link in found or not facts.get("dead"):
                continue
            try:
                with (copy := stage(facts["path"])).copy:
                    if copy.sha256 != facts["sha256"]:
                        raise UnfitFileError("has been changed since it was saved")  # noqa: TRY301 as stage does
                    copy.copy.seek(0)
                    found[link] = self._hook.upload_file(copy.copy, copy.type.mime)
            except UnfitFileError as exc:
                raise SegmindInputError(
                    f"The link {shortened(link)} is dead, and the saved file {one_line(facts['path'])} {exc}. Nothing "
                    "was sent."
                ) from None
            self._log.info(
                "%s is dead: %s was uploaded in its place: %s", shortened(link), facts["path"], shortened(found[link])
            )
            behind[found[link]] = {name: facts[name] for name in ("path", "sidecar", "sha256")}
        return found, behind

    def _of_files(self, wanted: Mapping[str, Staged]) -> dict[str, str]:
        host = self._hook.settings.storage_host
        kept = _read(self._store.get(UPLOADS_KEY)) if self._store is not None else {}
        own = kept.setdefault(host, {})
        if not wanted.keys() <= own.keys():
            others = self._of_the_run(host)
            own.update({sha256: others[sha256] for sha256 in wanted.keys() - own.keys() if sha256 in others})
        if self._shared is not None and not wanted.keys() <= own.keys():
            own.update(self._shared.addresses(wanted.keys() - own.keys()))
        try:
            for number, (sha256, file) in enumerate(wanted.items(), 1):
                if sha256 not in own:
                    with file.content() as content:
                        own[sha256] = self._hook.upload_file(content, file.type.mime)
                    told = (file.source, file.type.mime, file.size, shortened(own[sha256]))
                    self._log.info("Uploaded %s (%s, %d bytes): %s", *told)
                    if number % KEPT_EVERY == 0:
                        self._keep(kept)
                else:
                    self._log.info("%s is uploaded already: %s", file.source, shortened(own[sha256]))
        finally:
            self._keep(kept)
        self._ti.xcom_push(key=UPLOADS_KEY, value={host: {sha256: own[sha256] for sha256 in wanted}})
        return {sha256: own[sha256] for sha256 in wanted}

    def _keep(self, uploads: dict[str, dict[str, str]]) -> None:
        if self._store is not None:
            self._store.set(UPLOADS_KEY, uploads)
        else:  # lasts as long as the try, which may continue after a rate limit
            self._ti.xcom_push(key=UPLOADS_KEY, value=uploads)

    def _of_the_run(self, host: str) -> dict[str, str]:
        """Return what tasks of the run have uploaded; if there are several addresses, all tasks get the same one."""
        found: dict[str, str] = {}
        for shown in published(self._ti, siblings(self._dag, Uploader), UPLOADS_KEY):
            for sha256, address in _read(shown).get(host, {}).items():
                found[sha256] = min(found.get(sha256, address), address)
        return found


def _shared(context: Context, hook: SegmindHook, log: Any) -> SharedUploads | None:
    """Return what the ledger knows of uploads; None without one."""
    from airflow_provider_kling.ledger.configured import ledger_database
    from airflow_provider_kling.submission.submission import account

    database = ledger_database(getattr(context["task"], "ledger_conn_id", None))
    if database is None:
        return None
    from airflow_provider_kling.ledger.uploads import SharedUploads

    settings = hook.settings
    return SharedUploads(database, settings.host, account(settings.host, settings.api_key), log)


def _read(stored: Any) -> dict[str, dict[str, str]]:
    """Return what was stored; anything but a map of uploads counts as empty, and costs another upload."""
    try:
        return _UPLOADS.validate_python(stored or {})
    except ValidationError:
        return {}
