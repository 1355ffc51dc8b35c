"""What every request passes before a route sees it: the journal, ordered faults, the key, the rate limit."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from airflow_provider_kling.simulator.access import is_of_another_page, names_this_service
from airflow_provider_kling.simulator.catalogue import RefusedError
from airflow_provider_kling.simulator.faults import Fault, Kind
from airflow_provider_kling.simulator.journal import Entry
from airflow_provider_kling.simulator.service import ORDERED_FAILURE, ROW_AFTER, SERVICE, MediaFile, Service, refusal

PUBLIC_FILES = ("/generations/", "/assets/")
NEEDS_NO_KEY = (*PUBLIC_FILES, "/inference-model-information/")
NO_KEY = "Missing Authorization or x-api-key in header"
WRONG_KEY = "Unauthorized. API key is invalid or may have expired..."
SECRET_HEADERS = ("x-api-key", "authorization", "cookie")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Proceed = Callable[[], Awaitable[web.StreamResponse]]


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note the request, do the damage that was ordered for it, and let it through if it may pass."""
    service = request.app[SERVICE]
    if not names_this_service(request, service.settings.host):
        return refusal(421, f"{request.host} is no name of this service")
    if request.method not in {"GET", "HEAD"} and is_of_another_page(request):
        return refusal(403, "A page of another origin orders and sends nothing here")
    if request.path == "/" or request.path.startswith("/simulator/"):
        return await _errors_as_answers(request, handler)
    entry = _entry(request, service)
    if not is_of_another_page(request):  # a page may show a result, and is no program that is tested
        service.journal.note(entry, download=request.path.startswith(PUBLIC_FILES))

    async def proceed() -> web.StreamResponse:
        return await _checked(request, handler, entry.key)

    submits = request.method == "POST" and re.fullmatch(r"/v[12]/[^/]+", request.path) is not None
    fault = service.faults.strike(request.method, request.path, _model(request, service), submits=submits)
    if fault is None or fault.kind is not Kind.REFUSE:
        entry.note_body(await request.read())
    if fault is not None:
        ROW_AFTER.set(fault.row_after)
    response = await proceed() if fault is None else await _struck(request, service, fault, proceed)
    if request.transport is not None and not request.transport.is_closing():
        entry.status = response.status
    return response


async def _checked(request: web.Request, handler: Handler, key: str) -> web.StreamResponse:
    service = request.app[SERVICE]
    if not request.path.startswith(NEEDS_NO_KEY):
        if key != "valid":
            return refusal(401, NO_KEY if key == "absent" else WRONG_KEY)
        now = service.clock.now()
        if not service.limit.take(key, now):
            reset_at = {"x-rate-limit-reset-at-utc": service.limit.reset_at(key, now)}
            return refusal(429, "rate_limit_exceeded", **reset_at)
    return await _errors_as_answers(request, handler)


async def _errors_as_answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as refused:
        return refusal(refused.status, refused.message)
    except web.HTTPMethodNotAllowed as error:
        page = "<!doctype html><html><head><title>405</title></head><body>Method Not Allowed</body></html>"
        return web.Response(status=405, text=page, content_type="text/html", headers={"Allow": error.headers["Allow"]})
    except web.HTTPNotFound:
        return refusal(404, f"No such route: {request.path}")


async def _struck(request: web.Request, service: Service, fault: Fault, proceed: Proceed) -> web.StreamResponse:
    match fault.kind:
        case Kind.RESPOND:
            return _ordered(fault)
        case Kind.REFUSE | Kind.RESET_BEFORE:
            return _reset(request)
        case Kind.RESET_AFTER:
            await proceed()
            return _reset(request)
        case Kind.HOLD:
            await _hold(request, service, fault.seconds)
            # Without a time to go on, the request is never taken. With one it is, client or no client.
            return _reset(request) if fault.seconds is None else await proceed()
        case Kind.HOLD_AFTER | Kind.DELAY:
            response = await proceed()
            await _hold(request, service, fault.seconds)
            return response
        case Kind.TRUNCATE:
            return await _truncate(request, await proceed())
        case Kind.REPLACE_AFTER:
            await proceed()
            return _ordered(fault)
        case Kind.FAIL_JOB | Kind.LATE_ROW:
            if fault.kind is Kind.FAIL_JOB:
                ORDERED_FAILURE.set(fault.error)
            return await proceed()


def _ordered(fault: Fault) -> web.Response:
    if not isinstance(fault.body, str):
        return web.json_response(fault.body, status=fault.status, headers=fault.headers)
    headers = {"Content-Type": "text/html" if fault.body.startswith("<") else "text/plain", **fault.headers}
    return web.Response(body=fault.body.encode(), status=fault.status, headers=headers)


def _reset(request: web.Request) -> web.Response:
    """Cut the connection with a RST, so that the peer sees a reset and not an end of file."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)


async def _hold(request: web.Request, service: Service, seconds: float | None) -> None:
    """Wait; endlessly means until the client has gone or the simulator stops."""
    if seconds is not None:
        await _closing_within(service, seconds)
        return
    while request.transport is not None and not request.transport.is_closing():
        if await _closing_within(service, 0.05):
            return


async def _closing_within(service: Service, seconds: float) -> bool:
    try:
        await asyncio.wait_for(service.closing.wait(), seconds)
    except TimeoutError:
        return False
    return True


async def _truncate(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """Announce the whole answer, send half of it and hang up."""
    body: Any = (
        await asyncio.to_thread(whole.file.read_bytes) if isinstance(whole, MediaFile) else getattr(whole, "body", b"")
    )
    half = web.StreamResponse(status=whole.status, headers={"Content-Type": whole.content_type})
    half.content_length = len(body)
    if isinstance(whole, MediaFile):
        half.etag = whole.version()  # by which the rest can be asked for, as of any file
    await half.prepare(request)
    await half.write(bytes(body[: len(body) // 2]))
    if request.transport is not None:
        request.transport.close()
    return half


def _entry(request: web.Request, service: Service) -> Entry:
    sent = request.headers.get("x-api-key")
    key = "absent" if sent is None else "valid" if sent == service.api_key else "wrong"
    if sent is None and "Authorization" in request.headers:
        # The newer documentation is plain about it: the key as a bearer token is rejected.
        key = "wrong"
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {name: "(withheld)" for name in SECRET_HEADERS if name in headers}
    return Entry(
        method=request.method,
        path=request.path,
        query=dict(request.query),
        headers=headers,
        key=key,
        time=service.clock.now(),
    )


def _model(request: web.Request, service: Service) -> str | None:
    """Name the model a request is about: the slug in its path, or the polled job's."""
    if polled := re.match(r"/v[12]/requests/([^/]+)", request.path):
        job = service.books.find(polled[1])
        return job.model.slug if job else None
    submitted = re.fullmatch(r"/v[12]/([^/]+)", request.path)
    return submitted[1] if submitted else None
