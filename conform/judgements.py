"""
What was seen says about each assumption. Pure: all decisions of this command are in here.

An assumption is SUPPORTED or BROKEN by what was seen, and NOT_MEASURED where nothing was seen that speaks for or
against it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.clock import CLOCK_SKEW, LONGEST_RESET, rate_limit_reset
from airflow_provider_kling.segmind.history import HistoryPage, HistoryRow, created_at
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.schemas import JobStatus, Result
from airflow_provider_kling.submission.history_match import SLOWEST_ACCEPTANCE
from conform.answers import clock_difference, date_of, has_ended, is_of, read_row, rows_in, state_of
from conform.inputs import differences, excerpt, form

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from conform.observed import Job, Observations, Reply

#: The zones that are farthest from UTC, in hours.
WEST, EAST = 12, 14
#: US dollars that make no difference; costs are told with four digits.
NOTHING = 1e-6


class Verdict(StrEnum):
    """What was seen says about an assumption."""

    SUPPORTED = "supported"
    BROKEN = "broken"
    NOT_MEASURED = "not measured"


#: A verdict, and what was seen, in a few words.
Judgement = tuple[Verdict, str]


def clock(seen: Observations) -> Judgement:
    """Compare the Date headers with this machine's clock."""
    hosts = sorted({reply.host for reply in seen.replies})
    told = {
        host: difference
        for host in hosts
        if (difference := clock_difference(reply for reply in seen.replies if reply.host == host)) is not None
    }
    if not told:
        return Verdict.NOT_MEASURED, "no answer had a Date header that can be read"
    measured = ", ".join(f"{host} is {_signed(difference)} off" for host, difference in told.items())
    return _verdict(all(abs(difference) <= CLOCK_SKEW for difference in told.values())), measured


def row_in_time(seen: Observations) -> Judgement:
    """Compare how late rows came with the grace."""
    told: list[str] = []
    late: list[str] = []
    for job in _accepted(seen):
        if job.seen_at is None:
            if job.row is None and job.absent_at and job.absent_at - job.submit.answered_at >= seen.grace:
                late.append(f"{job.name}: not within {_seconds(seen.grace)}")
            continue
        earliest = max((job.absent_at or job.submit.sent_at) - job.submit.answered_at, timedelta())
        latest = job.seen_at - job.submit.sent_at
        (told if latest <= seen.grace else late).append(
            f"{job.name}: {_seconds(earliest)} to {_seconds(latest)} after the submit"
        )
    if not told and not late:
        return Verdict.NOT_MEASURED, "the history as the provider asks for it neither showed a row nor was without it"
    return _verdict(not late), "; ".join(late + told) + f" (of a grace of {_seconds(seen.grace)})"


def row_while_running(seen: Observations) -> Judgement:
    """Tell whether a row was there before its job was over."""
    for job in _accepted(seen):
        if job.seen_at is not None and not job.meant_to_fail and (job.end is None or job.seen_at < job.end.sent_at):
            state = excerpt((job.first_row or {}).get("model_status"))
            return Verdict.SUPPORTED, f"the {job.name} job was there before its end, as {state}"
    if all(job.seen_at is None for job in _accepted(seen)):
        return Verdict.NOT_MEASURED, "no row was seen"
    unclear = "rows were first seen after the jobs had ended, so they may come with the end only"
    return Verdict.NOT_MEASURED, f"{unclear}, which for the slowest models is later than the grace"


def ids(seen: Observations) -> Judgement:
    """Compare the ids of API and history, and whether the history answers for the former."""
    forms, wrong = set(), []
    for job, row in _with_rows(seen):
        told = row.request_id
        if canonical_id(told) != canonical_id(str(job.request_id)):
            wrong.append(f"{job.name}: the API says {job.request_id}, the history {excerpt(told)}")
            continue
        forms.add("a UUID with dashes" if "-" in told else "without dashes")
        answers = {
            form: reply for form, reply in job.by_id.items() if any(is_of(job, row) for row in (rows_in(reply) or ()))
        }
        if job.by_id and not answers:
            codes = ", ".join(f"HTTP {reply.status}" for reply in job.by_id.values())
            wrong.append(f"{job.name}: the history does not answer for its id in either form ({codes})")
    if wrong:
        return Verdict.BROKEN, "; ".join(wrong)
    if not forms:
        return Verdict.NOT_MEASURED, "no row was seen"
    answered = {
        f"{'with' if '-' in form else 'without'} dashes: HTTP {reply.status}"
        for job in _accepted(seen)
        for form, reply in job.by_id.items()
    }
    return Verdict.SUPPORTED, f"the same, {' and '.join(sorted(forms))}; asked for {', '.join(sorted(answered))}"


def model_name(seen: Observations) -> Judgement:
    """Compare the name in the rows with the slug."""
    names = {row.model_name for _, row in _with_rows(seen)}
    if not names:
        return Verdict.NOT_MEASURED, "no row was seen"
    unfound = [job.name for job in _accepted(seen) if job.row is not None and job.seen_at is None]
    if unfound:
        return Verdict.BROKEN, f"{', '.join(unfound)}: found only without model_name={seen.model} in the query"
    told = ", ".join(sorted(map(excerpt, names)))
    return _verdict(names == {seen.model}), f"submitted to {excerpt(seen.model)}, the rows say {told}"


def order(seen: Observations) -> Judgement:
    """Compare each row with the one before it, over several pages."""
    pages = [list(page) for page in seen.pages if page]
    if not any(job.row for job in _accepted(seen)):
        return Verdict.NOT_MEASURED, "no row was seen"
    for number, (page, following) in enumerate(pairwise(pages), start=1):
        if all(row in page for row in following):
            return Verdict.BROKEN, f"page {number + 1} is page {number} once more"
    stamps = [created_at(read) if (read := read_row(row)) else None for page in pages for row in page]
    known = [stamp for stamp in stamps if stamp is not None]
    pages_told = f"{len(stamps)} rows on {len(pages)} pages"
    if len(known) < len(stamps) or len(set(known)) < 2 or len(pages) < 2:  # noqa: PLR2004  it takes two to be in order
        return Verdict.NOT_MEASURED, f"{pages_told}, of which the times do not tell an order"
    for number, (newer, older) in enumerate(pairwise(known), start=1):
        if older > newer:
            return Verdict.BROKEN, f"of {pages_told}, row {number + 1} is newer than row {number}"
    return Verdict.SUPPORTED, f"{pages_told}, none newer than the one before it"


def spare_day(seen: Observations) -> Judgement:
    """Tell whether the days that the provider asks for held the rows."""
    missing = [job for job in _accepted(seen) if job.seen_at is None]
    for job in missing:
        for span in seen.spans:
            if any(is_of(job, row) for row in span.rows or ()):
                days = f"from {span.first} to {span.last}"
                return Verdict.BROKEN, f"{job.name}: not in the days asked for, and there {days}"
    if missing or not _accepted(seen):
        return Verdict.NOT_MEASURED, "not all rows were seen, for whatever reason"
    return Verdict.SUPPORTED, f"all {len(_accepted(seen))} rows are in the days asked for"


def last_day(seen: Observations) -> Judgement:
    """Tell whether a span of one day holds that day's job."""
    day, included = _counted_day(seen)
    if day is None:
        return Verdict.NOT_MEASURED, "no span of one or two days showed the first job"
    span = f"from {day} to {day}"
    return _verdict(included), f"{span} the job of that day is {'there' if included else 'not there'}"


def day_zone(seen: Observations) -> Judgement:
    """Compare the day that a job counts to with that of UTC."""
    day, _ = _counted_day(seen)
    moments = _submitted_between(seen, _accepted(seen)[0]) if _accepted(seen) else None
    if day is None or moments is None:
        return Verdict.NOT_MEASURED, "no span of one or two days showed the first job"
    first, last = moments
    if first.date() != last.date():
        return Verdict.NOT_MEASURED, "the first job was submitted just at midnight in UTC"
    if day != first.date():
        return Verdict.BROKEN, f"a job of {first:%Y-%m-%d %H:%M} UTC counts to {day}"
    west, east = min(first.hour, WEST), min(23 - first.hour, EAST)  # whose date is the same now
    alike = f"so does it in each zone from UTC-{west} to UTC+{east}, which this time of day does not tell from UTC"
    return Verdict.SUPPORTED, f"a job of {first:%Y-%m-%d %H:%M} UTC counts to {day} ({alike})"


def stamps(seen: Observations) -> Judgement:
    """Compare the rows' times with those of the submits, by Segmind's own clock."""
    told: list[str] = []
    wrong: list[str] = []
    zones = set()
    for job, row in _with_rows(seen):
        stamp = created_at(row)
        moments = _submitted_between(seen, job)
        if stamp is None or row.created_at is None:
            fields = ", ".join(sorted(job.row or ()))
            wrong.append(f"{job.name}: no time that can be read, in the fields {fields}")
            continue
        if moments is None:
            continue
        offset = stamp - moments[0]
        zones.add("a zone named" if row.created_at.tzinfo else "no zone named")
        fits = -CLOCK_SKEW <= offset <= SLOWEST_ACCEPTANCE
        (told if fits else wrong).append(f"{job.name}: {_signed(offset)} from the submit")
    if not told and not wrong:
        return Verdict.NOT_MEASURED, "no row was seen, or no Date header to compare with"
    return _verdict(not wrong), "; ".join(wrong + told) + (f" ({' and '.join(sorted(zones))})" if zones else "")


def inputs(seen: Observations) -> Judgement:
    """Tell what the provider's match does not take as the same."""
    wrong, forms, count = [], set(), 0
    for job, row in _with_rows(seen):
        count += 1
        forms.add(form((job.row or {}).get("request_body")))
        if row.request_body is None:
            wrong.append(f"{job.name}: cannot be read ({excerpt((job.row or {}).get('request_body'))})")
            continue
        wrong += [f"{job.name}: {text}" for even, text in differences(job.payload, row.request_body) if not even]
    if not count:
        return Verdict.NOT_MEASURED, "no row was seen"
    came = f"{count} rows, inputs as {' and '.join(sorted(forms))}"
    return _verdict(not wrong), "; ".join([*wrong, came]) if wrong else f"{came}, all as sent for the match"


def verbatim(seen: Observations) -> Judgement:
    """Tell what came back otherwise, though the match takes it as the same."""
    evened, count = [], 0
    for job, row in _with_rows(seen):
        if row.request_body is not None:
            count += 1
            evened += [f"{job.name}: {text}" for even, text in differences(job.payload, row.request_body) if even]
    if not count:
        return Verdict.NOT_MEASURED, "no inputs were seen"
    return _verdict(not evened), "; ".join(evened) or f"in {count} rows, every value that the match takes as the same"


def row_tells_end(seen: Observations) -> Judgement:
    """Compare how jobs ended by the API and by the history."""
    told, wrong = [], []
    for job, _ in _with_rows(seen):
        if not has_ended(job.end) or job.final is None or state_of(job.final) is None:
            continue
        api = Result.model_validate(job.final.body)
        history = HistoryPage.model_validate([job.row]).as_result()
        if not history.status.is_terminal:
            wrong.append(f"{job.name}: the API says {api.status}, the history still {history.status}")
        elif (history.status, bool(history.urls)) != (api.status, bool(api.urls)):
            wrong.append(
                f"{job.name}: the API says {api.status} with {len(api.urls)} file(s), the history {history.status} "
                f"with {len(history.urls)}"
            )
        elif None not in (api.metrics.cost, history.metrics.cost) and _differ(api.metrics.cost, history.metrics.cost):
            wrong.append(f"{job.name}: the API says ${api.metrics.cost}, the history ${history.metrics.cost}")
        else:
            cost = "no cost told" if history.metrics.cost is None else f"${history.metrics.cost:g}"
            told.append(f"{job.name}: {history.status}, {cost}")
    if not told and not wrong:
        return Verdict.NOT_MEASURED, "no job's row and end were both seen"
    return _verdict(not wrong), "; ".join(wrong + told)


def status_of_running(seen: Observations) -> Judgement:
    """Tell what the status address says of a job that runs."""
    return _while_running([(job, job.status, job.result) for job in _accepted(seen)])


def result_of_running(seen: Observations) -> Judgement:
    """Tell what the result's address says of a job that runs."""
    return _while_running([(job, job.result, job.status) for job in _accepted(seen)])


def _while_running(asked: Sequence[tuple[Job, Reply | None, Reply | None]]) -> Judgement:
    """Judge what an address says of jobs that run; the other address, asked about then, knows whether they do."""
    told, wrong = set(), set()
    for job, reply, other in asked:
        if reply is None or job.meant_to_fail or has_ended(reply) or has_ended(other):
            continue
        state = state_of(reply)
        if state is None:
            wrong.add(f"{job.name}: HTTP {reply.status}, {excerpt(reply.body)}")
        elif Result.model_validate(reply.body).urls:
            wrong.add(f"{job.name}: {state}, and an output all the same")
        else:
            told.add(f"HTTP {reply.status}, {state}")
    if not told and not wrong:
        return Verdict.NOT_MEASURED, "no job was seen running"
    return _verdict(not wrong), "; ".join(sorted(wrong) + sorted(told))


def unknown_request(seen: Observations) -> Judgement:
    """Tell what the addresses say of a job that nobody made."""
    replies = [reply for reply in (seen.unknown_status, seen.unknown_result) if reply is not None]
    if not replies:
        return Verdict.NOT_MEASURED, "no answer came"
    told = ", ".join(f"HTTP {reply.status} {excerpt(reply.body)}" for reply in replies)
    return _verdict({reply.status for reply in replies} == {HTTPStatus.NOT_FOUND}), told


def failed_is_free(seen: Observations) -> Judgement:
    """Tell what a job cost that FAILED."""
    for job in seen.jobs:
        if not job.meant_to_fail:
            continue
        if job.request_id is None:
            return Verdict.NOT_MEASURED, f"it was refused with HTTP {job.submit.status} before there was a job"
        if job.end is None or state_of(job.end) is not JobStatus.FAILED:
            return Verdict.NOT_MEASURED, f"the job that was meant to fail is {state_of(job.end) or 'not over'}"
        row = read_row(job.row) if job.row else None
        says = {
            "the API": Result.model_validate(job.end.body).metrics.cost,
            "the history": row.cost if row and (row.status or "").upper() == JobStatus.FAILED else None,
        }
        costs = {who: cost for who, cost in says.items() if cost is not None}
        if not costs:
            return Verdict.NOT_MEASURED, f"it FAILED (HTTP {job.end.status}), and nobody said what it cost"
        told = ", ".join(f"{who} says ${cost:g}" for who, cost in costs.items())
        return _verdict(not any(costs.values())), f"FAILED (HTTP {job.end.status}); {told}"
    return Verdict.NOT_MEASURED, "no job was meant to fail"


def rate_limit(seen: Observations) -> Judgement:
    """Tell what a refusal for too many requests looks like."""
    limited = next((reply for reply in seen.replies if reply.status == HTTPStatus.TOO_MANY_REQUESTS), None)
    if limited is None:
        return Verdict.NOT_MEASURED, f"no request was refused ({seen.limit_asked} sent for it)"
    reset_at = rate_limit_reset(limited.headers)
    if reset_at is None:
        names = ", ".join(sorted(name for name in limited.headers if "limit" in name or "retry" in name))
        return Verdict.BROKEN, f"HTTP 429 without a time that can be read; headers: {names or 'none about it'}"
    left = reset_at - (date_of(limited) or limited.answered_at)
    value = limited.headers["x-rate-limit-reset-at-utc"]
    fits = timedelta(seconds=-1) <= left <= timedelta(seconds=LONGEST_RESET + 1)
    return _verdict(fits), f"HTTP 429, to be reset in {_seconds(left)} (written as {value})"


def _accepted(seen: Observations) -> list[Job]:
    return [job for job in seen.jobs if job.request_id is not None]


def _with_rows(seen: Observations) -> Iterator[tuple[Job, HistoryRow]]:
    """Yield the jobs of which a row was seen, with the row as the provider reads it."""
    for job in _accepted(seen):
        if job.row is not None and (row := read_row(job.row)) is not None:
            yield job, row


def _submitted_between(seen: Observations, job: Job) -> tuple[datetime, datetime] | None:
    """Return between which moments a job was submitted, by the clock of the host that took it."""
    ahead = clock_difference(reply for reply in seen.replies if reply.host == job.submit.host)
    return None if ahead is None else (job.submit.sent_at + ahead, job.submit.answered_at + ahead)


def _counted_day(seen: Observations) -> tuple[date | None, bool]:
    """Return to which day the filters count the first job, and whether a span of that day alone includes it."""
    jobs = _accepted(seen)[:1]
    showing = [span for span in seen.spans for job in jobs if any(is_of(job, row) for row in span.rows or ())]
    alone = [span.first for span in showing if span.first == span.last]
    if alone:
        return alone[0], True
    if any(span.rows is None for span in seen.spans):
        return None, False
    return (showing[0].first, False) if len(showing) == 1 else (None, False)


def _verdict(holds: bool) -> Verdict:
    return Verdict.SUPPORTED if holds else Verdict.BROKEN


def _differ(one: float | None, other: float | None) -> bool:
    return abs((one or 0) - (other or 0)) > NOTHING


def _seconds(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.1f} s"  # noqa: PLR2004  digits that mean something


def _signed(span: timedelta) -> str:
    """Write a difference to the second: a Date header tells no more."""
    sign = "-" if span < timedelta() else "+"
    return (
        f"{sign}{timedelta(seconds=round(abs(span).total_seconds()))}"
        if abs(span) >= timedelta(minutes=1)
        else f"{span.total_seconds():+.0f} s"
    )
