"""The files anyone may download: outputs, uploads, and two pictures to begin with."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from airflow_provider_kling.simulator.catalogue import RefusedError
from airflow_provider_kling.simulator.jobs import Drawn
from airflow_provider_kling.simulator.service import SERVICE, MediaFile

ROUTES = web.RouteTableDef()
REQUEST_ID_LENGTH = 36
#: Films, sounds, and pictures but those with scripts in them.
_MEDIA = re.compile(r"(image|video|audio)/(?!svg)[a-z0-9.+-]{1,60}")


@ROUTES.get("/generations/{name}")
async def generation(request: web.Request) -> MediaFile:
    """Serve an output until it is seven days old."""
    service = request.app[SERVICE]
    name = request.match_info["name"]
    job = service.books.find(name[:REQUEST_ID_LENGTH])
    if job is None or job.path != f"/generations/{name}" or not job.has_file(service.clock.now()):
        raise RefusedError(404, "File not found")
    if not isinstance(job.outcome, Drawn):
        raise RefusedError(404, "File not found")
    return MediaFile(service.folder / name, job.outcome.content_type)


@ROUTES.get("/assets/{name}")
async def asset(request: web.Request) -> MediaFile:
    """Serve an upload; how long uploads live is not published, here it is as long as the simulator."""
    found = request.app[SERVICE].assets.get(request.match_info["name"])
    if found is None:
        raise RefusedError(404, "File not found")
    said = found.content_type.partition(";")[0].strip().lower()
    # A page or a script that somebody has uploaded is only bytes here.
    return MediaFile(found.file, said if _MEDIA.fullmatch(said) else "application/octet-stream")


@ROUTES.get("/simulator/inputs/{name}")
async def sample(request: web.Request) -> MediaFile:
    """Serve one of the pictures the simulator draws itself, to have inputs without the internet."""
    service = request.app[SERVICE]
    file = await asyncio.to_thread(service.studio.sample, request.match_info["name"])
    if file is None:
        raise RefusedError(404, "There are robot.png and beach.png")
    return MediaFile(file, "image/png")
