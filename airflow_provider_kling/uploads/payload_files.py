"""The files of one payload: all of them read and checked before the first is uploaded."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.payloads.files import files_in, replaced, written_at
from airflow_provider_kling.payloads.limits import megabytes
from airflow_provider_kling.segmind.errors import KlingPayloadError, SegmindError
from airflow_provider_kling.segmind.placeholders import placeholder
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.storage.allowed_paths import UPLOAD_ALLOWED_PATHS, Named, refused
from airflow_provider_kling.storage.open_files import UnfitFileError
from airflow_provider_kling.uploads.source_files import Staged, reason_it_does_not_fit, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_kling.payloads.files import NamedFile
    from airflow_provider_kling.payloads.request import Request

#: Most files of one payload, in number and in bytes; no Kling model is known to take more than ten.
MOST_FILES = 64
MOST_BYTES = 2 * 1024**3


@contextmanager
def attached(request: Request, written: Any) -> Iterator[tuple[Request, list[Staged]]]:
    """
    Read and check the files that a payload names; they are open while the block lasts.

    :param written: the payload as the author wrote it, before anything was filled in.
    :return: the request with placeholders for its files, and the files.
    :raises KlingPayloadError: a file may not be uploaded, is missing, or is not what its field takes.
    :raises SegmindError: a file's storage did not answer; a retry may help.
    """
    label = request.model if request.payload is None else request.payload.label()
    try:
        named = files_in(request)
    except ValueError as exc:
        raise KlingPayloadError(f"{label}: {exc}.") from None
    if (number := len({file.source for file in named})) > MOST_FILES:
        raise KlingPayloadError(
            f"{label}: names {number} files, at most {MOST_FILES} are uploaded for one payload. Nothing was uploaded."
        )
    _refuse_foreign(label, named, written)
    with ExitStack() as at_hand:
        staged: dict[str, Staged] = {}
        refusals = []
        for file in named:
            refusal = None
            try:
                if file.source not in staged:
                    staged[file.source] = _read(label, file, written)
                    at_hand.callback(staged[file.source].copy.close)
                    if sum(each.size for each in staged.values()) > MOST_BYTES:
                        raise KlingPayloadError(
                            f"{label}: its files have more than {megabytes(MOST_BYTES)} together, which is the most "
                            "that is uploaded for one payload. Nothing was uploaded."
                        )
                refusal = reason_it_does_not_fit(staged[file.source], file.media)
            except UnfitFileError as exc:
                refusal = str(exc)
            if refusal is not None:
                refusals.append((file, refusal))
        if refusals:
            lines = [f"{file.field}: {file.source!r} {words}; it takes {file.media}" for file, words in refusals]
            raise KlingPayloadError(
                f"{label}: {'; '.join(lines)}. Nothing was uploaded.",
                fields=list(dict.fromkeys(str(file.place[0]) for file, _ in refusals)),
            )
        contents = {file.place: placeholder(staged[file.source].sha256) for file in named}
        yield replace(request, parameters=replaced(request.parameters, contents)), list(staged.values())


def _refuse_foreign(label: str, named: list[NamedFile], written: Any) -> None:
    """Refuse, before any is read, the files that neither the author nor Airflow's config has named."""
    files = [(file, (Named(file.source), Named(written_at(written, file.place)))) for file in named]
    if told := refused([(f"{file.field}: {file.source!r}", *names) for file, names in files], UPLOAD_ALLOWED_PATHS):
        foreign = [file.place[0] for file, (its, authors) in files if its.refusal(authors, UPLOAD_ALLOWED_PATHS)]
        raise KlingPayloadError(f"{label}: {told}", fields=list(dict.fromkeys(map(str, foreign))))


def _read(label: str, file: NamedFile, written: Any) -> Staged:
    try:
        return stage(file.source, written=Named(written_at(written, file.place)))
    except UnfitFileError:
        raise
    except Exception as exc:
        raise SegmindError(
            f"{label}: {file.field}: {file.source!r} cannot be read just now ({type(exc).__name__}: {one_line(exc)}). "
            "This attempt has sent nothing."
        ) from exc


@contextmanager
def read_files(request: Request, written: Any, *, required: bool) -> Iterator[tuple[Request, list[Staged]]]:
    """
    Read and check the files of a submit; they are open while the block lasts.

    :param written: the payload before anything was filled in.
    :param required: whether anything may have to be sent; if not, files that are gone are not an error.
    :return: the request with placeholders for its files, and the files.
    :raises SegmindError: a file is refused, or cannot be read.
    """
    with ExitStack() as at_hand:
        try:
            read = at_hand.enter_context(attached(request, written))
        except SegmindError:
            if required:
                raise
            read = request, []
        yield read
