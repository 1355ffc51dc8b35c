"""The routes about the account and what it has: credits, uploads, history, the list of models."""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import uuid

from aiohttp import web

from airflow_provider_kling.simulator import history
from airflow_provider_kling.simulator.catalogue import RefusedError
from airflow_provider_kling.simulator.json_body import read_json
from airflow_provider_kling.simulator.service import SERVICE, Asset

ROUTES = web.RouteTableDef()


@ROUTES.get("/v1/get-user-credits")
async def user_credits(request: web.Request) -> web.Response:
    """Give the balance, less what running jobs have reserved."""
    books = request.app[SERVICE].books
    books.settle()
    return web.json_response({"credits": books.available, "free-credits": 0.0})


@ROUTES.post("/upload-asset")
async def upload(request: web.Request) -> web.Response:
    """Keep files that come as data URLs, and give each a public URL."""
    service = request.app[SERVICE]
    if request.content_type != "application/json":
        raise RefusedError(406, "Invalid content type")
    try:
        data_urls = read_json(await request.read())["data_urls"]
        files = [_file(data_url) for data_url in data_urls]
    except (ValueError, LookupError, TypeError, AttributeError):
        raise RefusedError(400, "data_urls must be a list of base64 data URLs") from None
    urls = []
    for content_type, content in files:
        name = f"{uuid.uuid4()}{mimetypes.guess_extension(content_type) or ''}"
        file = service.folder / name
        file.write_bytes(content)
        service.assets[name] = Asset(file, content_type, hashlib.sha256(content).hexdigest(), len(content))
        urls.append(f"{request.url.origin()}/assets/{name}")
    return web.json_response({service.settings.upload_key: urls, "message": "Files uploaded"})


@ROUTES.get("/inference-request/request-history")
async def request_history(request: web.Request) -> web.Response:
    """Give one page of the account's requests, failed and running ones included."""
    service = request.app[SERVICE]
    return web.json_response(history.search(service.books, service.habits, request.query, str(request.url.origin())))


@ROUTES.get("/inference-request/request-history/{request_id}")
async def one_request(request: web.Request) -> web.Response:
    """Give one request of any age, by either form of its id."""
    request_id = request.match_info["request_id"]
    service = request.app[SERVICE]
    job = history.find(service.books, service.habits, request_id)
    if job is None:
        raise RefusedError(404, f"Request {request_id} not found")
    return web.json_response(history.row(job, service.habits, str(request.url.origin())))


@ROUTES.get("/inference-request/recent-generations")
@ROUTES.get("/inference-request/generations")
async def generations(request: web.Request) -> web.Response:
    """List what was made, of one model or of all."""
    service = request.app[SERVICE]
    made = history.generations(service.books, service.habits, request.query, str(request.url.origin()))
    return web.json_response({"data": made})


@ROUTES.get("/inference-model-information/list")
async def models(request: web.Request) -> web.Response:
    """List the models to anyone who asks."""
    rows = [model.row() for model in request.app[SERVICE].catalogue.models.values()]
    return web.json_response({"Inference Segmind Model Information List With Details": rows})


def _file(data_url: str) -> tuple[str, bytes]:
    head, _, coded = data_url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise ValueError("not a base64 data URL")
    try:
        return head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(coded, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
