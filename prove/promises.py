"""What must hold: in every state, and at each end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from airflow_provider_kling.segmind.identifiers import canonical_id
from prove.assumptions import PRICE
from prove.naming import short
from prove.scenarios import OWL
from prove.state import Violation
from prove.tasks import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prove.history import Job
    from prove.world import World

#: The promises, in the order of their numbers.
PROMISES: Sequence[str] = (
    "what is billed was wanted, or the log names it",
    "every billed job is held by a task, or a message names it",
    "no run breaks its budget",
    "no wait is forgotten, and no task hangs",
    "without further faults all that is wanted is delivered, with no retry used up for it",
    "two tasks never end with the same job, unless results may be used again; then what is the same is billed once",
)


def check_always(world: World) -> None:
    """
    Check what holds in every state.

    :raises Violation: it does not.
    """
    budget = world.scenario.budget
    if budget is not None and len(world.jobs) * PRICE > budget:
        raise Violation(f"3: jobs for ${len(world.jobs) * PRICE:g} are billed, the budget is ${budget:g}")
    # Whoever leaves an intent behind for as long as its job may still turn up is not waited for any longer.
    if world.scenario.reuses and not world.has_happened(*(world.scenario.faults.keys() - {"refuse", "post_execute"})):
        for prompt, count in Counter(job.prompt for job in world.jobs).items():
            if count > 1:
                raise Violation(f"6: {count} of the same are billed, where one does for all: {prompt!r}")
    # A job may be left behind, and named, only after a user has changed what is wanted or who pays.
    left = [job for job in world.jobs if not (world.has_happened("change", "move") and _is_named(world, job))]
    if len(left) <= 1 and sum(world.wanted.values()) >= len(left):
        return
    for prompt, count in Counter(job.prompt for job in left).items():
        if count > world.wanted[prompt]:
            what = "owl" if prompt == OWL else "fox"
            jobs = ", ".join(short(job.request_id) for job in left)
            raise Violation(f"1: {count} of the {what} are billed, {world.wanted[prompt]} wanted; no log names {jobs}")


def check_end(world: World) -> None:
    """
    Check what holds where every task has come to its end.

    :raises Violation: it does not.
    """
    held = set(world.delivered)
    for task in world.tasks:
        kept = record(task, world.scenario.airflow)
        if kept is not None:
            held |= {canonical_id(job) for job in (kept.request_id, *kept.former) if job is not None}
    for job in world.jobs:
        if job.request_id not in held and not _is_named(world, job):
            raise Violation(f"2: request {short(job.request_id)} is billed, no task holds it and no message names it")


def _is_named(world: World, job: Job) -> bool:
    return job.request_id in world.named or job.sent_at in world.named
