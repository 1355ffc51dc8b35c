"""What may stand where a model wants a file: an address that Segmind fetches, or a file that is uploaded first."""

from __future__ import annotations

import re
from typing import Any

from airflow_provider_kling.payloads.paths import is_path, path_text
from airflow_provider_kling.payloads.templated_model import shown
from airflow_provider_kling.segmind.addresses import split

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[^/@]*@)?(.+)", re.DOTALL)
_ON_THE_WORKER = {"file", "local"}
#: What fsspec can open too, and is no place where files are kept.
_NO_STORAGE = {"http", "https", "ftp", "data"}
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]++={0,2}\s*")
_SHORTEST_PICTURE = 100  # characters; shorter text is a misspelt address


def check_media(value: Any) -> Any:
    """Refuse what is neither an address that Segmind can fetch nor a file that can be uploaded; say what is."""
    if is_path(value):
        value = path_text(value)
    if not isinstance(value, str):
        return value  # pydantic says what is wrong with it
    if _is_fetchable(value) or is_file(value):
        return value
    if value.startswith("data:"):
        raise ValueError("is a data: URL, Segmind asks for an address; give the file's path, and it is uploaded")
    raise ValueError(
        f"{shown(value)} is not an http(s) URL that Segmind can fetch, nor a file to upload: name one in object "
        "storage by its URL, such as 's3://bucket/a.png', and one on the worker by its absolute path"
    )


def is_file(value: Any) -> bool:
    """Whether text names one file, on the worker or in object storage, that Segmind cannot fetch by itself."""
    if not isinstance(value, str) or not value.isprintable() or value.endswith("/"):
        return False
    if value.startswith("/"):
        return not is_base64(value)  # that of a JPEG begins with a slash
    url = _URL.match(value)
    if url is None:
        return False
    scheme, rest = url.groups()
    if scheme in _ON_THE_WORKER:
        return rest.startswith("/")
    bucket, _, key = rest.partition("/")
    return bool(bucket and key.strip("/")) and _is_storage(scheme)


def is_base64(value: Any) -> bool:
    """Whether text is a file itself, in base64."""
    return isinstance(value, str) and len(value) > _SHORTEST_PICTURE and _BASE64.fullmatch(value) is not None


def _is_fetchable(value: str) -> bool:
    try:
        parts = split(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and value.isprintable()
    except ValueError:
        return False


def _is_storage(scheme: str) -> bool:
    import fsspec

    return scheme not in _NO_STORAGE and scheme in fsspec.available_protocols()
