"""A limit on the head of an answer: aiohttp before 3.14 reads headers without an end."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

#: Bytes of an answer's status line and headers.
LONGEST_HEAD = 128 * 1024


class _BoundedHandler(ResponseHandler):
    """aiohttp's own reader of answers, which gives up a head that is too long."""

    _head_bytes = 0
    _has_head = False

    def set_response_params(self, **params: Any) -> None:
        """Expect the answer to another request."""
        self._head_bytes, self._has_head = 0, False
        super().set_response_params(**params)

    def feed_data(self, *data_and_size: Any) -> None:
        """Hand on a head that is whole."""
        self._has_head = True
        super().feed_data(*data_and_size)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        super().data_received(data)
        if not self._has_head:
            self._head_bytes += len(data)
            if self._head_bytes > LONGEST_HEAD:
                self.set_exception(aiohttp.ClientPayloadError(f"its head is longer than {LONGEST_HEAD // 1024} KiB"))
                self.close()


def bound_heads(connector: aiohttp.TCPConnector) -> aiohttp.TCPConnector:
    """Return the connector with that limit on each answer."""
    private: Any = connector  # no public way leads to it; the name is the same in all of aiohttp 3.10 to 3.14
    private._factory = partial(_BoundedHandler, loop=asyncio.get_running_loop())  # noqa: SLF001 as just said
    return connector
