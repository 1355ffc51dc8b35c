"""The measurement itself: three small jobs, and what Segmind tells of them. It decides nothing."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.identifiers import id_forms
from airflow_provider_kling.submission.policy import ORPHAN_GRACE
from conform.answers import has_ended, is_of, rows_in
from conform.observed import Job, Observations, Span
from conform.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.segmind.call import Call
    from airflow_provider_kling.segmind.history import HistoryPage
    from conform.observed import Reply, Row

#: The cheapest model of which enough is published to submit to it: $0.035 a picture.
MODEL = "kling-3-text2image"
#: For how long the end of a job is waited for; its usual time is under a minute.
JOB_PATIENCE = timedelta(minutes=30)
#: Rows on a page, and how many pages are read, to see in which order they come.
PAGE_SIZE, PAGES = 2, 4
#: Characters of the long prompt; Kling's own limit is 2,500.
LONG = 2000
_ONE_DAY = timedelta(days=1)


def payloads() -> list[tuple[str, str, dict[str, Any], bool]]:
    """
    Return what is submitted: name, marker, parameters, whether it is meant to fail.

    Between them they hold what a history might not give back as it was: spaces at the ends, quotes, lines, accents, a
    long text, numbers, truth values, lists; and each leaves out parameters that have defaults.
    """
    plain, long, failing = (f"conform-{secrets.token_hex(4)}" for _ in range(3))
    filler = "A small grey pebble on white paper, soft light, nothing else in the picture. "
    return [
        (
            "plain",
            plain,
            {
                "prompt": f'  {plain}: a small grey pebble, "plain" as it\'s drawn,\non white paper; café, 石.  ',
                "aspect_ratio": "1:1",
                "output_format": "jpeg",
            },
            False,
        ),
        ("long", long, {"prompt": f"{long}: {filler * LONG}"[:LONG], "resolution": "1K"}, False),
        (
            "failing",
            failing,
            # A prompt that is no text: Segmind's documentation shows this very failure.
            {
                "prompt": 12.5,
                "negative_prompt": failing,
                "seed": 7,
                "watermark": False,
                "elements": [{"reference_image_urls": ["https://example.com/pebble.png"]}],
            },
            True,
        ),
    ]


def measure(hook: SegmindHook, *, ask_for_limit: int = 0, say: Callable[[str], None] = lambda _: None) -> Observations:
    """
    Submit the jobs, which costs money, and return what was seen of them.

    :param ask_for_limit: how many requests to send at the most to meet the rate limit; none with 0.
    :param say: is told what happens.
    """
    probe = Probe(hook, say)
    for name, marker, payload, meant_to_fail in payloads():
        probe.submit(name, marker, payload, meant_to_fail=meant_to_fail)
    probe.ask_for_the_unknown()
    probe.follow()
    probe.ask_the_history()
    if ask_for_limit:
        probe.meet_the_limit(ask_for_limit)
    return probe.seen


class Probe:
    """One measurement on its way."""

    def __init__(self, hook: SegmindHook, say: Callable[[str], None]) -> None:
        self._hook = hook
        self._say = say
        self._wire = Wire(hook)
        self._scale = hook.settings.time_scale
        self._started = datetime.now(tz=UTC)
        self.seen = Observations(MODEL, ORPHAN_GRACE / self._scale, replies=self._wire.replies)

    def submit(self, name: str, marker: str, payload: Mapping[str, Any], *, meant_to_fail: bool) -> None:
        """Submit a job as the provider does, and ask for it at once wherever it should be known."""
        before = len(self._wire.replies)
        try:
            request_id: str | None = self._hook.submit(MODEL, payload).request_id
        except SegmindError as error:
            if not self.seen.jobs:  # nothing was paid yet, and there is nothing to measure
                raise
            self._say(f"The {name} job was not accepted: {error}")
            request_id = None
        if len(self._wire.replies) == before:
            return
        job = Job(name, marker, payload, self._wire.replies[-1], request_id, meant_to_fail)
        self.seen.jobs.append(job)
        if request_id is None:
            return
        self._say(f"Submitted the {name} job: {request_id}")
        job.status = self._wire.get(protocol.status(request_id))
        job.result = self._wire.get(protocol.result(request_id))
        self._look()

    def ask_for_the_unknown(self) -> None:
        """Ask for a job that nobody made."""
        nobodys = str(uuid.uuid4())
        self.seen.unknown_status = self._wire.get(protocol.status(nobodys))
        self.seen.unknown_result = self._wire.get(protocol.result(nobodys))

    def follow(self) -> None:
        """Watch the jobs and the history until all is told, or the time for it is over."""
        self._say(f"Waiting for their ends, and up to {self.seen.grace.total_seconds():g} s for their rows")
        while True:
            now = datetime.now(tz=UTC)
            running = [job for job in self._jobs() if job.end is None and now < self._ends_by(job)]
            untold = [job for job in self._jobs() if not _is_told(job) and now < self._told_by(job)]
            if not running and not untold:
                return
            self._look()
            for job in running:
                reply = self._wire.get(protocol.status(str(job.request_id)))
                if has_ended(reply):
                    job.end = reply
                    job.final = self._wire.get(protocol.result(str(job.request_id)))
                    self._say(f"The {job.name} job has ended")

    def ask_the_history(self) -> None:
        """Ask for the jobs in each way that the history knows: by id, page by page, day by day, without a model."""
        jobs = self._jobs()
        self._look()
        for job in jobs:
            for form in id_forms(str(job.request_id)):
                reply = self._wire.get(protocol.past_rows(form))
                if reply is not None:
                    job.by_id[form] = reply
        if any(job.row is None for job in jobs):
            query = {name: value for name, value in self._call().query.items() if name != "model_name"}
            self.seen.unfiltered = self._rows(query) or ()
            for job in jobs:
                job.row = job.row or self._row(job, self.seen.unfiltered)
        for page in range(1, PAGES + 1):
            rows = self._rows({**self._call().query, "page": str(page), "per_page": str(PAGE_SIZE)})
            if not rows:
                break
            self.seen.pages.append(rows)
        day = jobs[0].submit.sent_at.date()
        singles = [(day + number * _ONE_DAY,) * 2 for number in (-1, 0, 1)]
        pairs = [(day + number * _ONE_DAY, day + (number + 1) * _ONE_DAY) for number in (-2, -1, 0, 1)]
        for first, last in (*singles, *pairs):
            days = {"from_date": first.isoformat(), "to_date": last.isoformat()}
            self.seen.spans.append(Span(first, last, self._rows({**self._call().query, **days})))

    def meet_the_limit(self, most: int) -> None:
        """Send free requests until one is refused, or there were enough of them."""
        self._say(f"Asking for the balance up to {most} times, to see what a rate limit looks like")
        for number in range(1, most + 1):
            self.seen.limit_asked = number
            reply = self._wire.get(protocol.credit_balance(), spaced=False)
            if reply is not None and reply.status == HTTPStatus.TOO_MANY_REQUESTS:
                return

    def _jobs(self) -> list[Job]:
        return [job for job in self.seen.jobs if job.request_id is not None]

    def _ends_by(self, job: Job) -> datetime:
        return job.submit.answered_at + JOB_PATIENCE / self._scale

    def _told_by(self, job: Job) -> datetime:
        """Return until when a row is waited for: the grace for the row, and once more for what it says of the end."""
        since = job.end.answered_at if job.end is not None and job.row is not None else job.submit.answered_at
        return since + self.seen.grace

    def _look(self) -> None:
        """Read the history once, as the provider does after a lost reply, and note what it shows now."""
        reply = self._wire.get(self._call())
        rows = rows_in(reply)
        if reply is None or rows is None:
            return
        self.seen.rows = rows
        for job in self._jobs():
            row = self._row(job, rows)
            if row is not None and job.first_row is None:
                job.first_row, job.seen_at = row, reply.answered_at
                self._say(f"The history shows the {job.name} job")
            elif row is None:
                job.absent_at = reply.sent_at
            job.row = row or job.row

    def _call(self) -> Call[HistoryPage]:
        return protocol.history(model=MODEL, since=self._started, until=datetime.now(tz=UTC))

    def _rows(self, query: Mapping[str, str]) -> tuple[Row, ...] | None:
        reply: Reply | None = self._wire.get(self._call(), query)
        return rows_in(reply)

    def _row(self, job: Job, rows: tuple[Row, ...]) -> Row | None:
        return next((row for row in rows if is_of(job, row)), None)


def _is_told(job: Job) -> bool:
    """Whether the history tells the job's end."""
    return job.row is not None and str(job.row.get("model_status", job.row.get("status"))).upper() in {
        "COMPLETED",
        "FAILED",
    }
