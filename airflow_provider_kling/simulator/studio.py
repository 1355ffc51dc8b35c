"""Where jobs are made: in threads, so that drawing and fetching never hold up an answer."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from airflow_provider_kling.simulator.drawing import film as films
from airflow_provider_kling.simulator.drawing import scenery
from airflow_provider_kling.simulator.drawing.caption import EXIF_DESCRIPTION, draw_band, mark
from airflow_provider_kling.simulator.drawing.composite import merge
from airflow_provider_kling.simulator.inputs import LAST_FRAME, InputError, Material, Picture, gather
from airflow_provider_kling.simulator.jobs import Drawn, Failure, Job

if TYPE_CHECKING:
    from collections.abc import Callable

FETCHERS = 16
DRAWERS = 2
USUAL_SECONDS = 5.0
LONGEST_SECONDS = 60.0
# The widest and the tallest picture there is, whatever the input.
STEEPEST = 2.5
# Pixels of an input for each of the output's height; no output is wider, and more would be work for nothing.
DETAIL = 5
FORMATS = {
    "png": ("png", "image/png"),
    "jpg": ("jpg", "image/jpeg"),
    "jpeg": ("jpeg", "image/jpeg"),
    "webp": ("webp", "image/webp"),
}
SAMPLES = {"robot.png": scenery.robot, "beach.png": scenery.beach}

log = logging.getLogger(__name__)


@cache
def _sample(name: str) -> bytes:
    """Draw a sample picture, once for all simulators of a process: it takes longer than their other work."""
    content = io.BytesIO()
    SAMPLES[name]().save(content, "png")
    return content.getvalue()


class Studio:
    """Draws what jobs ask for into one folder."""

    def __init__(self, folder: Path, height: int) -> None:
        self._folder = folder
        self._height = height
        self._tasks: set[asyncio.Task[None]] = set()
        # Apart, so that an input that is slow to come does not keep other jobs from being drawn.
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="segmind-fetch")
        self._drawers = ThreadPoolExecutor(DRAWERS, thread_name_prefix="segmind-draw")
        self._closed = False

    def begin(self, job: Job, conclude: Callable[[Job, Drawn | Failure], None], failure: str | None) -> None:
        """Start a job's run; `conclude` is told what came of it, in the event loop."""
        if self._closed:
            return

        async def run() -> None:
            conclude(job, Failure(failure) if failure else await self._make(job))

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sample(self, name: str) -> Path | None:
        """Give one of the sample pictures, drawn when it is first asked for."""
        if name not in SAMPLES:
            return None
        file = self._folder / name
        if not file.exists():
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as draft:
                draft.write(_sample(name))
            Path(draft.name).replace(file)
        return file

    async def close(self) -> None:
        """Drop what has not begun and wait for what has: its files are about to be deleted."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        for pool in (self._fetchers, self._drawers):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)

    async def _make(self, job: Job) -> Drawn | Failure:
        if flaw := job.model.flaw(job.inputs):
            return Failure(flaw)
        loop = asyncio.get_running_loop()
        try:
            with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as name:
                material = await loop.run_in_executor(
                    self._fetchers, gather, job.model, job.inputs, Path(name), self._height * DETAIL
                )
                return await loop.run_in_executor(self._drawers, self._draw, job, material)
        except InputError as error:
            return Failure(str(error))
        except Exception:
            # A bug of ours must not leave a job that never ends.
            log.exception("drawing %s failed", job.request_id)
            return Failure("Internal error")

    def _draw(self, job: Job, material: Material) -> Drawn:
        seed = int.from_bytes(hashlib.sha256(repr(dict(job.inputs)).encode()).digest()[:4])
        if job.model.output not in ("image", "video"):
            return Drawn(name=None, content_type="text/plain", size=0, value=f"voice_{seed:08x}", seed=seed)
        film = job.model.output == "video"
        kind, content_type = ("mp4", "video/mp4") if film else self._format(job)
        file = self._folder / f"{job.request_id}-0.{kind}"
        size = self._size(job, material)
        if film:
            self._film(job, material, size, file)
        else:
            self._picture(job, material, size, file)
        return Drawn(name=file.name, content_type=content_type, size=file.stat().st_size, seed=seed)

    def _picture(self, job: Job, material: Material, size: tuple[int, int], file: Path) -> None:
        band = self._band(job, material, size)
        image = Image.new("RGB", size)
        image.paste(self._still(job, material.pictures, (size[0], size[1] - band.height)), (0, 0))
        image.paste(band, (0, size[1] - band.height))
        exif = Image.Exif()
        exif[EXIF_DESCRIPTION] = mark(size)
        image.save(file, exif=exif, quality=92, compress_level=3)

    def _film(self, job: Job, material: Material, size: tuple[int, int], file: Path) -> None:
        band = self._band(job, material, size)
        room = (size[0], size[1] - band.height)
        count = round(self._seconds(job, material) * films.FPS)
        if material.film is not None:
            pictures = [picture.image for picture in material.pictures]
            frames = films.Edit(material.film, self._prompt(job), pictures, room).frames(count)
        else:
            last = [picture for picture in material.pictures if picture.label == LAST_FRAME]
            first = [picture for picture in material.pictures if picture.label != LAST_FRAME]
            still = self._still(job, first or last, films.roomy(room))
            end = merge([last[0].image], films.roomy(room)) if first and last else None
            frames = films.Motion(still, end, room).frames(count)
        films.write(file, frames, band, size)

    def _still(self, job: Job, pictures: list[Picture], size: tuple[int, int]) -> Image.Image:
        if pictures:
            return merge([picture.image for picture in pictures], size)
        return scenery.imagined(self._prompt(job), size)

    def _band(self, job: Job, material: Material, size: tuple[int, int]) -> Image.Image:
        shown = [(picture.label, picture.image) for picture in material.pictures]
        if material.film is not None:
            shown.insert(0, ("@Video1", films.first_frame(material.film)))
        return draw_band(size, job.model.title, self._prompt(job), shown)

    def _prompt(self, job: Job) -> str:
        shots = job.inputs.get("multi_prompt") or ()
        texts = [str(job.inputs.get("prompt") or ""), *(str(shot.get("prompt") or "") for shot in shots)]
        # JSON can carry halves of characters, which no font has and no encoder takes.
        return " / ".join(filter(None, texts)).encode("utf-8", "replace").decode()

    def _seconds(self, job: Job, material: Material) -> float:
        """Choose the length: what is asked for, else that of the film or sound, else five seconds."""
        if asked := job.model.setting(job.inputs, "duration"):
            seconds = float(asked)
        elif material.film is not None:
            seconds = films.seconds_of(material.film)
        elif material.sound is not None:
            seconds = films.seconds_of(material.sound, "audio")
        else:
            seconds = USUAL_SECONDS
        return min(max(seconds, 1 / films.FPS), LONGEST_SECONDS)

    def _size(self, job: Job, material: Material) -> tuple[int, int]:
        """Choose the size: the ratio asked for, on the short side the simulator's own height."""
        short = self._height * (2 if self._setting(job, "resolution", "1K") == "2K" else 1)
        ratio = self._ratio(job, material)
        wide, tall = (short * ratio, short) if ratio >= 1 else (short, short / ratio)
        return max(2, round(wide / 2) * 2), max(2, round(tall / 2) * 2)

    def _ratio(self, job: Job, material: Material) -> float:
        asked = self._setting(job, "aspect_ratio", "auto")
        if given := re.fullmatch(r"(\d{1,2}):(\d{1,2})", asked):
            return self._bounded(int(given[1]) / max(1, int(given[2])))
        if material.film is not None:
            shape = films.shape_of(material.film)
        elif material.pictures:
            shape = material.pictures[-1].size
        else:
            return 16 / 9
        return self._bounded(shape[0] / shape[1])

    def _bounded(self, ratio: float) -> float:
        return min(max(ratio, 1 / STEEPEST), STEEPEST)

    def _format(self, job: Job) -> tuple[str, str]:
        return FORMATS.get(self._setting(job, "output_format", "png"), FORMATS["png"])

    def _setting(self, job: Job, name: str, usual: str) -> str:
        value: Any = job.model.setting(job.inputs, name)
        return str(value) if value else usual
