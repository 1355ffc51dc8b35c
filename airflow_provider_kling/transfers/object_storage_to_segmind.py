"""The operator that uploads files to Segmind, for the tasks that use them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.operators.deferral import Postpones
from airflow_provider_kling.operators.failure import CORRECT_AND_CLEAR, fail
from airflow_provider_kling.operators.rendering import RendersAuthorsTemplates
from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.payloads.addresses import is_file
from airflow_provider_kling.payloads.files import lone_file, media_of, written_at
from airflow_provider_kling.payloads.limits import Media
from airflow_provider_kling.payloads.paths import is_path, path_text
from airflow_provider_kling.payloads.request import check_unrendered
from airflow_provider_kling.payloads.templates import as_plain, is_template, renders_to_nothing
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInputError
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.storage.allowed_paths import UPLOAD_ALLOWED_PATHS, Named, is_pattern, refused
from airflow_provider_kling.storage.open_files import UnfitFileError
from airflow_provider_kling.xcoms import Uploader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_kling.hooks.segmind import SegmindHook

__all__ = ["ObjectStorageToSegmindOperator"]

T = TypeVar("T")

#: How many files of a batch stay open as copies from their check to their upload, in number and in bytes.
MOST_AT_HAND, MOST_BYTES_AT_HAND = 64, 512 * 1024**2
#: A placeholder for the files of a payload that is checked before there are any addresses.
ANY_ADDRESS = "https://segmind.com/file"


class ObjectStorageToSegmindOperator(RendersAuthorsTemplates, Uploader, Postpones, BaseOperator):
    """
    Upload files and return their addresses, for any number of payloads.

    Each content is uploaded once within the run, whatever its name and whichever task needs it. All files are
    checked before the first is uploaded. A retry does not repeat an upload (Airflow 3.3+).

    Whoever knows the address of an uploaded file can read it, and Segmind offers no way to delete it.

    XComs: the return value is the address of a single file, or the list of those of several, in their order (with
    ``payload`` a list of payloads); ``kling_uploads`` is for other tasks of the run.

    :param source: an absolute path on the worker, a URL in object storage (``s3://bucket/a.png``, ``conn_id@`` in front
        of the bucket where it needs one), an ``ObjectStoragePath``, or a list of them. A source with ``*``, ``?`` or
        ``[`` that is not itself a file is a pattern: it stands for all files that match, sorted, in the folder in front
        of its first wildcard. If the author wrote neither the source nor a folder above it, it has to be in a folder of
        ``[kling] upload_allowed_paths``. (templated)
    :param segmind_conn_id: the connection. (templated)
    :param storage_conn_id: the connection to the storage, where a source names none. (templated)
    :param model: the slug of the model that the files are for; with ``field`` they are checked against its limits.
        (templated)
    :param field: the parameter that takes them, such as ``"video_url"``. (templated)
    :param payload: the model's other parameters; then a payload for each file is returned, as a list for
        ``KlingGenerateOperator.partial(model=…).expand(payload=…)``. (templated)
    :param deferrable: False waits for the reset of a rate limit on the worker, not in the triggerer.
    :raises SegmindInputError: a file is missing, too large or not what the field takes; nothing was uploaded.
    :raises SegmindError: see :mod:`airflow_provider_kling.segmind.errors`.
    """

    template_fields: Sequence[str] = ("source", "segmind_conn_id", "storage_conn_id", "model", "field", "payload")
    open_to_data = frozenset({"source", "model", "field", "payload"})
    ui_color = "#e8e1ff"

    def __init__(
        self,
        *,
        source: str | ObjectStoragePath | Sequence[str | ObjectStoragePath] | Any,
        segmind_conn_id: str = DEFAULT_CONN_ID,
        storage_conn_id: str | None = None,
        model: str | None = None,
        field: str | None = None,
        payload: Mapping[str, Any] | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (model is None) != (field is None):
            raise SegmindInputError("model, field: each needs the other; leave both out to check type and size only.")
        if payload is not None:
            if model is None:
                raise SegmindInputError("payload: needs model and field, which say where the files belong.")
            if not is_template(field):
                payload_class = None if is_template(model) else get_payload_class(str(model))
                check_unrendered({**payload, field: lone_file(payload_class, str(field), ANY_ADDRESS)}, model)
        self.source = source
        self.segmind_conn_id = segmind_conn_id
        self.storage_conn_id = storage_conn_id
        self.model = model
        self.field = field
        self.deferrable = deferrable
        self.payload = None if payload is None else dict(payload)

    @cached_property
    def hook(self) -> SegmindHook:
        """The hook that uploads."""
        from airflow_provider_kling.hooks.segmind import SegmindHook

        return SegmindHook(self.segmind_conn_id)

    def execute(self, context: Context) -> Any:
        """Check all files, then upload those that the run has not uploaded yet."""
        while True:
            try:
                return self._upload(context)
            except SegmindError as error:
                if not self.postponed(context, error):
                    fail(self, error if error.retryable else error.followed_by(CORRECT_AND_CLEAR))

    def _upload(self, context: Context) -> Any:
        from airflow_provider_kling.uploads.source_files import reason_it_does_not_fit, stage
        from airflow_provider_kling.uploads.uploader import Uploads

        media = self._media()
        with ExitStack() as at_hand:
            files, refusals, size = [], [], 0
            for number, (source, written) in enumerate(self._sources(), 1):
                file = self._asked(source, partial(stage, written=written))
                at_hand.callback(file.copy.close)
                files.append(file)
                if words := reason_it_does_not_fit(file, media):
                    refusals.append((file.source, words))
                size += file.size
                if number > MOST_AT_HAND or size > MOST_BYTES_AT_HAND:  # it is read once more when it is uploaded
                    file.copy.close()
            if refusals:
                told = "; ".join(f"{source!r} {words}" for source, words in refusals)
                raise SegmindInputError(f"source: {told}; {self.model} takes {media}. Nothing was uploaded.")
            try:
                addresses = Uploads(context, self.hook, self.log).addresses(files)
            except UnfitFileError as exc:
                raise SegmindInputError(f"source: {exc}. Clear this task once nobody writes there.") from exc
            found = [addresses[file.sha256] for file in files]
            if self.payload is not None:
                payload_class = get_payload_class(str(self.model))
                return [
                    {**self.payload, self.field: lone_file(payload_class, str(self.field), address)}
                    for address in found
                ]
            return found[0] if self._is_single([file.source for file in files]) else found

    def _media(self) -> Media:
        """Return what the files have to be."""
        if renders_to_nothing(self.model):
            return Media()
        payload_class = get_payload_class(str(self.model))
        media = media_of(payload_class, str(self.field)) if payload_class is not None else None
        if media is None:
            raise SegmindInputError(f"field: {self.field!r} is not known to be a file that {self.model!r} takes.")
        return media

    def _named(self) -> list[str]:
        """Return the sources as text."""
        source = as_plain(self.source)
        listed = source if isinstance(source, list) else [source]
        try:
            return [path_text(each) if is_path(each) else each for each in listed]
        except ValueError as exc:
            raise SegmindInputError(f"source: {exc}.") from None

    def _sources(self) -> list[tuple[str, Named]]:
        """Return the files that the sources stand for, each with what the author wrote for it."""
        from airflow_provider_kling.uploads.source_files import expanded

        found: list[tuple[str, Named]] = []
        for number, source in enumerate(self._named()):
            if not is_file(source):
                raise SegmindInputError(
                    f"source: {source!r} names no file; give an absolute path on the worker, or a URL in object "
                    "storage such as 's3://bucket/a.png'. Of a template, check that the task upstream ran."
                )
            written = replace(self._written(number), is_pattern=is_pattern(source))
            self._refuse_foreign([source], written)
            files = self._asked(source, expanded)
            if not files:
                raise SegmindInputError(f"source: no file matches {source!r}; nothing was uploaded.")
            self._refuse_foreign(files, written)  # a link that matches a pattern may lead out of the folder
            found += [(file, written) for file in files]
        if not found:
            raise SegmindInputError("source: is empty; give at least one file.")
        return found

    def _named_at(self, source: str) -> Named:
        return Named(source, self.storage_conn_id)

    def _written(self, number: int) -> Named:
        """Return what the author wrote for one of the sources."""
        whole = self.written.get("source")
        source = written_at(whole, (number,) if isinstance(as_plain(self.source), list) else ())
        return Named(source, self.written.get("storage_conn_id"))

    def _refuse_foreign(self, files: list[str], written: Named) -> None:
        """Refuse, before any is read, the files that neither the author nor Airflow's config has named."""
        if told := refused(((repr(file), self._named_at(file), written) for file in files), UPLOAD_ALLOWED_PATHS):
            raise SegmindInputError(f"source: {told}")

    def _is_single(self, files: list[str]) -> bool:
        """Whether one file was asked for by its name."""
        return not isinstance(as_plain(self.source), list) and files == self._named()

    def _asked(self, source: str, question: Callable[[str, str | None], T]) -> T:
        """Ask the storage; its failures become errors that say whether a retry helps."""
        try:
            return question(source, None if renders_to_nothing(self.storage_conn_id) else self.storage_conn_id)
        except UnfitFileError as exc:
            raise SegmindInputError(f"source: {source!r} {exc}. Nothing was uploaded.") from exc
        except Exception as exc:
            raise SegmindError(
                f"source: {source!r} cannot be read just now ({type(exc).__name__}: {one_line(exc)}). Nothing was "
                "uploaded; a retry, or clearing this task, tries again."
            ) from exc
