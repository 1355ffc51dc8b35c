"""An answer's body, read up to a limit: a small compressed one may expand to gigabytes."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Either gzip or zlib, detected by its header.
_ANY_ZLIB = 32 + zlib.MAX_WBITS
#: Bytes of a compressed answer, as it is decompressed; only lists are as long.
LARGEST_COMPRESSED = 8 * 1024**2


class BodyError(Exception):
    """The body is too large, or compressed in a way that was not asked for."""


class Body:
    """
    The bytes so far, decompressed.

    :param headers: of the answer.
    :param largest: bytes that the body may have in the end.
    :raises BodyError: it is compressed in an unknown way.
    """

    def __init__(self, headers: Mapping[str, str], largest: int) -> None:
        self._largest = largest
        self._bytes = bytearray()
        self._came = 0
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise BodyError(f"it is compressed as {hide(encoding)[:30]!r}, which was not asked for")
        if encoding not in {"", "identity"}:  # nobody asked for that
            self._largest = min(largest, LARGEST_COMPRESSED)
        self._inflate = None if encoding in {"", "identity"} else zlib.decompressobj(_ANY_ZLIB)

    def add(self, chunk: bytes) -> None:
        """
        Take the next bytes.

        :raises BodyError: there are too many, or they are not compressed as they should be.
        """
        self._came += len(chunk)
        if self._inflate is not None:
            chunk = self._inflated(self._inflate, chunk)
        self._bytes += chunk
        # The compressed size counts too: data that expands to nothing may be endless.
        if max(self._came, len(self._bytes)) > self._largest:
            raise BodyError(f"it is larger than {self._largest // 1024} KiB")

    def _inflated(self, inflate: zlib._Decompress, chunk: bytes) -> bytes:
        try:
            inflated = inflate.decompress(chunk, self._largest - len(self._bytes) + 1)
        except zlib.error as exc:
            raise BodyError(f"it cannot be decompressed ({exc})") from None
        if inflate.unused_data:  # zlib stores it, and copies it with each byte that follows
            raise BodyError("bytes follow the end of the compressed data")
        return inflated

    def whole(self) -> bytes:
        """Return the bytes so far."""
        return bytes(self._bytes)
