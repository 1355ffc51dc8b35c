"""Requests as the provider sends them, and every answer as it came."""

from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from urllib3 import HTTPResponse

from airflow_provider_kling.segmind.sanitize import fit_body, fit_text
from airflow_provider_kling.segmind.settings import CONNECT_TIMEOUT
from conform.observed import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.segmind.call import Call


class Wire:
    """
    The hook's own session, and what came over it, the hook's own requests included.

    :param hook: whose connection is used; its ``requests_per_minute`` is kept to.
    """

    def __init__(self, hook: SegmindHook) -> None:
        self.replies: list[Reply] = []
        self._settings = hook.settings
        self._spacing = 1.1 * 60 / hook.settings.requests_per_minute
        self._session = hook.get_conn()
        self._session.hooks["response"].append(self._note)

    def get(self, call: Call[Any], query: Mapping[str, str] | None = None, *, spaced: bool = True) -> Reply | None:
        """
        Ask what a call of the provider asks, and return the answer as it came; None where none came.

        :param query: in place of the call's own query parameters.
        :param spaced: whether to keep to the rate limit.
        """
        if spaced:
            time.sleep(self._spacing)
        try:
            self._session.request(
                "GET",
                self._settings.base_url(call.host) + call.path,
                params=call.query if query is None else query,
                timeout=(CONNECT_TIMEOUT, self._settings.timeout),
                allow_redirects=False,
            )
        except requests.RequestException:
            return None
        return self.replies[-1]

    def _note(self, response: requests.Response, *_: Any, **__: Any) -> None:
        whole = response.content
        response.raw = HTTPResponse(io.BytesIO(whole), preload_content=False)  # for whoever reads it after this
        content = fit_body(whole)
        answered_at = datetime.now(tz=UTC)
        try:
            body = json.loads(content)
        except ValueError:
            body = content.decode("utf-8", "replace")
        self.replies.append(
            Reply(
                host=urlsplit(response.url).netloc,
                sent_at=answered_at - response.elapsed,
                answered_at=answered_at,
                status=response.status_code,
                headers={name.lower(): fit_text(value) for name, value in response.headers.items()},
                body=body,
            )
        )
