"""The routes that run models: submit, poll, fetch, and the older blocking call."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from airflow_provider_kling.simulator.catalogue import RefusedError
from airflow_provider_kling.simulator.jobs import Drawn, Failure, Job, Status
from airflow_provider_kling.simulator.json_body import read_json
from airflow_provider_kling.simulator.service import SERVICE, MediaFile, Service, refusal

ROUTES = web.RouteTableDef()


@ROUTES.post("/v2/{slug}")
async def submit(request: web.Request) -> web.Response:
    """Take a job. From this answer on it is billed, wanted or not."""
    job = await _accept(request)
    base = str(request.url.origin())
    return web.json_response(
        {
            "request_id": job.request_id,
            "status": Status.QUEUED,
            "poll_url": f"{base}/v1/requests/{job.request_id}",
            "status_url": f"{base}/v2/requests/{job.request_id}/status",
            "response_url": f"{base}/v2/requests/{job.request_id}",
        }
    )


@ROUTES.get("/v2/requests/{request_id}/status")
async def status(request: web.Request) -> web.Response:
    """Say where a job is, without its output. A failed one is a 422."""
    job = _job(request)
    state = job.status(request.app[SERVICE].clock.now())
    if state is Status.FAILED:
        return _failed(job)
    return web.json_response(_progress(request, job, state))


@ROUTES.get("/v2/requests/{request_id}")
@ROUTES.get("/v1/requests/{request_id}")
async def result(request: web.Request) -> web.Response:
    """Give the result, or before there is one what the status URL says."""
    job = _job(request)
    state = job.status(request.app[SERVICE].clock.now())
    if state is Status.FAILED:
        return _failed(job)
    if state is Status.COMPLETED:
        return web.json_response(_completed(request, job))
    return web.json_response(_progress(request, job, state))


@ROUTES.post("/v1/{slug}")
async def run(request: web.Request) -> web.StreamResponse:
    """Run a model while the client waits, and answer with the bytes of what it made.

    Published sources disagree on the body: a client that asks for JSON gets the result body of v2 instead.
    """
    service = request.app[SERVICE]
    job = await _accept(request)
    await service.finish(job)
    if isinstance(job.outcome, Failure):
        return refusal(500, job.outcome.error)
    headers = _v1_headers(service, job)
    if job.path is None or request.headers.get("Accept") == "application/json":
        return web.json_response(_completed(request, job), headers=headers)
    drawn = _drawn(job)
    return MediaFile(service.folder / str(drawn.name), drawn.content_type, headers)


async def _accept(request: web.Request) -> Job:
    service = request.app[SERVICE]
    slug = request.match_info["slug"]
    model = service.catalogue.get(slug)
    if request.content_type != "application/json":
        raise RefusedError(406, "Invalid content type")
    try:
        inputs = read_json(await request.read())
    except ValueError:
        raise RefusedError(400, "Malformed JSON body") from None
    if not isinstance(inputs, dict):
        raise RefusedError(400, "The body must be a JSON object")
    model.admit(inputs)
    return service.accept(slug, inputs)


def _job(request: web.Request) -> Job:
    return request.app[SERVICE].books.record(request.match_info["request_id"])


def _drawn(job: Job) -> Drawn:
    if not isinstance(job.outcome, Drawn):
        raise TypeError(f"{job.request_id} made nothing")
    return job.outcome


def _progress(request: web.Request, job: Job, state: Status) -> dict[str, Any]:
    base = f"{request.url.origin()}/v2/requests/{job.request_id}"
    return {
        "status": state,
        "request_id": job.request_id,
        "status_url": f"{base}/status",
        "response_url": base,
        "metrics": {"inference_time": job.inference_time} if state.is_terminal else {},
    }


def _times(job: Job) -> dict[str, float]:
    total = round(job.queue_time + job.inference_time, 3)
    return {"inference_time": job.inference_time, "queue_time": job.queue_time, "total_time": total}


def _failed(job: Job) -> web.Response:
    error = job.outcome.error if isinstance(job.outcome, Failure) else None
    # No cost among the metrics: nothing is charged for a failed run.
    body = {"status": Status.FAILED, "error": error, "metrics": _times(job), "request_id": job.request_id}
    return web.json_response(body, status=422)


def _completed(request: web.Request, job: Job) -> dict[str, Any]:
    drawn = _drawn(job)
    url = f"{request.url.origin()}{job.path}" if job.path else drawn.value
    body: dict[str, Any] = {"status": Status.COMPLETED, "error": None, "request_id": job.request_id, "output": url}
    if job.model.output == "video":
        body["video"] = {
            "url": url,
            "content_type": drawn.content_type,
            "file_name": drawn.name,
            "file_size": str(drawn.size),
        }
    elif job.model.output == "image":
        body["images"] = [{"url": url, "content_type": drawn.content_type}]
        body["seed"] = str(drawn.seed)
        body["prompt"] = job.inputs.get("prompt")
    cost = {"cost": job.billed, "remaining_credits": job.remaining_credits}
    return {**body, "metrics": {**cost, **_times(job)}}


def _v1_headers(service: Service, job: Job) -> dict[str, str]:
    return {
        "x-cost": str(job.billed),
        "x-remaining-credits": str(job.remaining_credits),
        "x-request-id": job.request_id,
        "x-generation-time": str(job.inference_time),
        "x-seed-value": str(_drawn(job).seed),
        "x-rate-limit-reset-at-utc": service.limit.reset_at("valid", service.clock.now()),
    }
