"""
Limits on the bytes that arrive on a connection of aiohttp's.

Before 3.14 it reads headers and trailers without a limit, and any version keeps answers that nobody requested.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

#: Bytes of an answer's status line and headers.
LONGEST_HEAD = 128 * 1024
#: Bytes of an answer as they arrive; the body that is read from them has a lower limit elsewhere.
LARGEST_ANSWER = 64 * 1024**2


class _BoundedHandler(ResponseHandler):
    """aiohttp's own response handler, which ends a connection that brings too much: a head, bytes, answers."""

    _head_bytes = 0
    _bytes = 0
    _has_head = False
    _is_over = False

    def set_response_params(self, **params: Any) -> None:
        """Start counting the answer to the next request."""
        self._head_bytes, self._bytes, self._has_head, self._is_over = 0, 0, False, False
        super().set_response_params(**params)

    def feed_data(self, *data_and_size: Any) -> None:
        """Pass on a complete head; an informational (1xx) one does not count, and one after the answer is dropped."""
        if self._is_over:
            self.close()
            return
        message, body = data_and_size[0]
        self._has_head = message.code >= HTTPStatus.OK
        super().feed_data(*data_and_size)
        if self._has_head:
            body.on_eof(self._end)

    def _end(self) -> None:
        self._is_over = True

    def data_received(self, data: bytes) -> None:
        """Read the bytes that have arrived; what nobody requested ends the connection."""
        if self._is_over and data:  # aiohttp passes no bytes, too, when it goes on reading
            self.close()
            return
        super().data_received(data)
        self._bytes += len(data)
        self._head_bytes += 0 if self._has_head else len(data)
        if self._head_bytes > LONGEST_HEAD or self._bytes > LARGEST_ANSWER:
            self.set_exception(aiohttp.ClientPayloadError("its head or its body is longer than an answer may be"))
            self.close()


def bounded(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """Return the connector with these limits on each answer."""
    private: Any = connector  # there is no public access to it; the name is the same in all of aiohttp 3.10 to 3.14
    private._factory = partial(_BoundedHandler, loop=asyncio.get_running_loop())  # noqa: SLF001 as just said
    return connector
