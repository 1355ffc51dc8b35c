"""A limit on an answer's bytes as they come: aiohttp before 3.14 reads headers, and trailers, without an end."""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

#: Bytes of an answer's status line and headers.
LONGEST_HEAD = 128 * 1024
#: Bytes of an answer, chunk by chunk, as it comes: what is read of it is bounded more closely elsewhere.
LARGEST_ANSWER = 64 * 1024**2


class _BoundedHandler(ResponseHandler):
    """aiohttp's own reader of answers, which gives up one that is too long, its head above all."""

    _head_bytes = 0
    _bytes = 0
    _has_head = False

    def set_response_params(self, **params: Any) -> None:
        """Expect the answer to another request."""
        self._head_bytes, self._bytes, self._has_head = 0, 0, False
        super().set_response_params(**params)

    def feed_data(self, *data_and_size: Any) -> None:
        """Hand on a head that is whole; one of those that only announce another is none."""
        message, _ = data_and_size[0]
        self._has_head = message.code >= HTTPStatus.OK
        super().feed_data(*data_and_size)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        super().data_received(data)
        self._bytes += len(data)
        self._head_bytes += 0 if self._has_head else len(data)
        if self._head_bytes > LONGEST_HEAD or self._bytes > LARGEST_ANSWER:
            self.set_exception(aiohttp.ClientPayloadError("its head, or what follows it, is longer than any answer"))
            self.close()


def bound_heads(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """Return the connector with these limits on each answer."""
    private: Any = connector  # no public way leads to it; the name is the same in all of aiohttp 3.10 to 3.14
    private._factory = partial(_BoundedHandler, loop=asyncio.get_running_loop())  # noqa: SLF001 as just said
    return connector
