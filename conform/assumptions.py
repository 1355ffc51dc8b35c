"""What the provider assumes of Segmind, one by one, and what follows where it does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.clock import CLOCK_SKEW, LONGEST_RESET
from airflow_provider_kling.submission.history_match import Sent, Window, matches
from airflow_provider_kling.submission.policy import ORPHAN_GRACE
from conform import judgements
from conform.answers import is_of, read_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from conform.judgements import Judgement, Verdict
    from conform.observed import Observations

PAID = "docs/never-pay-twice.md"
WAITING = "docs/waiting.md"
SPENDING = "docs/spending.md"


@dataclass(frozen=True, slots=True)
class Assumption:
    """
    One thing that the provider takes for granted.

    :param name: by which reports and tests know it.
    :param says: the assumption, as a sentence.
    :param where: the page that rests on it.
    :param if_broken: what follows where it does not hold, and what to do.
    """

    name: str
    says: str
    where: str
    if_broken: str
    judge: Callable[[Observations], Judgement]


@dataclass(frozen=True, slots=True)
class Finding:
    """An assumption, and what was seen of it."""

    assumption: Assumption
    verdict: Verdict
    measured: str


def findings(seen: Observations) -> list[Finding]:
    """Return what was seen of each assumption."""
    return [Finding(assumption, *assumption.judge(seen)) for assumption in ASSUMPTIONS]


def found_again(seen: Observations) -> tuple[int, int]:
    """Return how many jobs the provider would find again if the answers to their submits were lost, and of how many."""
    rows = [row for raw in seen.rows if (row := read_row(raw)) is not None]
    jobs = [job for job in seen.jobs if job.request_id is not None]
    found = 0
    for job in jobs:
        sent = Sent(seen.model, job.payload, [Window.after(job.submit.sent_at, ORPHAN_GRACE)])
        found += [is_of(job, row.model_dump(mode="json")) for row in matches(sent, rows).certain] == [True]
    return found, len(jobs)


ASSUMPTIONS = (
    Assumption(
        "clock",
        f"Segmind's clock and this machine's are not more than {CLOCK_SKEW.seconds} s apart.",
        PAID,
        "A row may be outside the time in which a job is looked for. Correct this machine's clock (NTP); where it is "
        "right, CLOCK_SKEW has to grow.",
        judgements.clock,
    ),
    Assumption(
        "row_in_time",
        "A job is in the request history within orphan_grace of its submit.",
        PAID,
        "A lost submit may be sent, and paid, once more while its first job runs: set orphan_grace to more than was "
        "measured.",
        judgements.row_in_time,
    ),
    Assumption(
        "row_while_running",
        "A job is in the history while it runs, not from its end on.",
        PAID,
        "For a model that is slower than orphan_grace, a lost submit may be paid once more: set orphan_grace above its "
        "longest time.",
        judgements.row_while_running,
    ),
    Assumption(
        "ids",
        "History and API name a job by the same id, with or without dashes, and the history can be asked by it.",
        PAID,
        "A job that is adopted has an id that the API may not know: it is read from the history only, and what a "
        "sibling holds is not recognised.",
        judgements.ids,
    ),
    Assumption(
        "model_name",
        "A row names its model by the slug, and the history can be filtered by it.",
        PAID,
        "No lost submit is ever found, and one may be paid once more (on_orphaned_intent='fail').",
        judgements.model_name,
    ),
    Assumption(
        "order",
        "The history comes newest first, also from page to page.",
        PAID,
        "Reading may stop before the row that is looked for, where the first rows seem to descend.",
        judgements.order,
    ),
    Assumption(
        "spare_day",
        "A day to spare on both sides of the days asked for is enough.",
        PAID,
        "Rows are missed at the edges: more days have to be asked for.",
        judgements.spare_day,
    ),
    Assumption(
        "last_day",
        "A span of days includes its last day (to_date).",
        PAID,
        "Nothing is missed: the provider asks for one day more. That day is not to spare any more.",
        judgements.last_day,
    ),
    Assumption(
        "day_zone",
        "The days are those of UTC.",
        PAID,
        "Nothing is missed: the provider asks for one day more on both sides. Those are not to spare any more.",
        judgements.day_zone,
    ),
    Assumption(
        "stamps",
        "A row's time is that of its submit, in UTC where it names no zone.",
        PAID,
        "No row is in the time in which its job is looked for: no lost submit is ever found, and one may be paid once "
        "more (on_orphaned_intent='fail').",
        judgements.stamps,
    ),
    Assumption(
        "inputs",
        "A row's inputs agree with what was sent, by the provider's own comparison.",
        PAID,
        "The row of a lost submit is shown to a person and not taken, or not recognised at all, and then paid once "
        "more (on_orphaned_intent='fail').",
        judgements.inputs,
    ),
    Assumption(
        "verbatim",
        "Inputs come back as they were sent, to the letter.",
        PAID,
        "Nothing is missed: the comparison evens this out. Jobs that differ in nothing else count as the same.",
        judgements.verbatim,
    ),
    Assumption(
        "row_tells_end",
        "A row tells how its job ended, its file and its cost, as the API does.",
        PAID,
        "A job that the API has forgotten is delivered with what the history says of it.",
        judgements.row_tells_end,
    ),
    Assumption(
        "status_of_running",
        "The status address names the state of a job that runs, from its submit on.",
        WAITING,
        "Waits see an error in place of a state, and try again until their deadline.",
        judgements.status_of_running,
    ),
    Assumption(
        "result_of_running",
        "The result's address answers for a job that runs, with its state and no output.",
        WAITING,
        "What asks for the result alone sees an error in place of a state, and tries again.",
        judgements.result_of_running,
    ),
    Assumption(
        "unknown_request",
        "Both addresses answer 404 for a job that nobody made.",
        WAITING,
        "A forgotten job is not looked up in the history, and its wait goes on until its deadline.",
        judgements.unknown_request,
    ),
    Assumption(
        "failed_is_free",
        "A job that FAILED costs nothing.",
        SPENDING,
        "A retry does not submit anew what FAILED and was charged; the bill of a run is higher than its results.",
        judgements.failed_is_free,
    ),
    Assumption(
        "rate_limit",
        f"A rate limit is a 429 whose x-rate-limit-reset-at-utc names a time within {LONGEST_RESET:g} s.",
        WAITING,
        "Waits back off by themselves in place of waiting for the time that is named.",
        judgements.rate_limit,
    ),
)
