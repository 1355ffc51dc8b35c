"""What one simulator consists of, and the errors it answers with."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_kling.simulator.catalogue import Catalogue
from airflow_provider_kling.simulator.faults import Faults
from airflow_provider_kling.simulator.jobs import Books, Clock, Job
from airflow_provider_kling.simulator.journal import Journal
from airflow_provider_kling.simulator.limits import RateLimit
from airflow_provider_kling.simulator.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_kling.simulator.history_habits import Habits
    from airflow_provider_kling.simulator.settings import Settings


@dataclass(frozen=True)
class Asset:
    """An uploaded file. Each upload makes a new one, of whatever content."""

    file: Path
    content_type: str
    sha256: str
    size: int


@dataclass
class Service:
    """The parts of one running simulator. Belongs to one event loop."""

    settings: Settings
    folder: Path
    habits: Habits = field(init=False)
    api_key: str = field(init=False)
    catalogue: Catalogue = field(init=False)
    books: Books = field(init=False)
    limit: RateLimit = field(init=False)
    studio: Studio = field(init=False)
    clock: Clock = field(default_factory=Clock)
    faults: Faults = field(default_factory=Faults)
    journal: Journal = field(default_factory=Journal)
    assets: dict[str, Asset] = field(default_factory=dict)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.habits = self.settings.history
        self.api_key = self.settings.api_key
        self.catalogue = Catalogue.load(self.settings.retired)
        self.books = Books(self.clock, self.settings.credits, self.settings.time_scale)
        self.limit = RateLimit(self.settings.requests_per_minute)
        self.studio = Studio(self.folder, self.settings.height)

    def accept(self, slug: str, inputs: dict[str, Any]) -> Job:
        """Take a checked request as a job and start its run."""
        row_after = self.habits.row_after + ROW_AFTER.get()
        job = self.books.accept(self.catalogue.get(slug), inputs, row_after=row_after)
        self.studio.begin(job, self.books.conclude, ORDERED_FAILURE.get())
        return job

    def uploads(self, base: str) -> list[dict[str, Any]]:
        """List what was uploaded, oldest first."""
        return [
            {
                "url": f"{base}/assets/{name}",
                "content_type": asset.content_type,
                "size": asset.size,
                "sha256": asset.sha256,
            }
            for name, asset in self.assets.items()
        ]

    async def finish(self, job: Job) -> None:
        """Wait until the job has ended."""
        while True:
            self.books.settle()
            if job.finished_at is not None:
                return
            # Short steps: the clock can be moved from outside, and drawing ends when it ends.
            left = (job.ends_at or job.due_at) - self.clock.now()
            await asyncio.sleep(min(max(left, 0.01), 0.25))


#: What keeps a browser from running a file that somebody has uploaded as a page of this service.
INERT = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


class MediaFile(web.FileResponse):
    """A media file as an answer. Knows its file, so that half of it can be sent on order."""

    def __init__(self, file: Path, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(file, headers={"Content-Type": content_type, **INERT, **(headers or {})})
        self.file = file

    def version(self) -> str:
        """Name the bytes as aiohttp does when it sends the whole file."""
        stat = self.file.stat()
        return f"{stat.st_mtime_ns:x}-{stat.st_size:x}"


SERVICE = web.AppKey("SERVICE", Service)
# The end that was ordered for the job of the submission at hand.
ORDERED_FAILURE: ContextVar[str | None] = ContextVar("ORDERED_FAILURE", default=None)
# How many seconds later than usual its row appears in the history.
ROW_AFTER: ContextVar[float] = ContextVar("ROW_AFTER", default=0.0)


def refusal(status: int, message: str, **headers: str) -> web.Response:
    """Answer in the envelope that every error of the gateway has."""
    return web.json_response({"error": message}, status=status, headers=headers)
