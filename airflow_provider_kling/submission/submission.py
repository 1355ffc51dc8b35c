"""One submission: what is wanted, by which task, and how its record, claim and times are derived."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.submission.history_match import Window
from airflow_provider_kling.submission.policy import HISTORY_TIMEOUT, ORPHAN_GRACE, OnOrphanedIntent
from airflow_provider_kling.submission.record import Claim, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta

    from airflow_provider_kling.budget.guard import BudgetGuard


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """
    One submission, as each attempt at it begins.

    :param model: the model's slug.
    :param payload: the parameters as sent, files by their placeholders.
    :param fingerprint: see :func:`fingerprint`.
    :param account: see :func:`account`.
    :param task: the task instance's name among its siblings.
    :param run: the run's name among those of the DAG.
    :param clock: returns the time, with its zone.
    :param price: what the job may cost, for messages.
    :param high: US dollars that it costs at most, if that is known.
    :param guard: limits its cost; None if nothing does.
    :param expectation: what the log says about an accepted job, such as how long it takes.
    :param grace: see :data:`ORPHAN_GRACE`.
    :param on_orphaned_intent: what to do when the history shows no job after the grace period.
    :param history_timeout: see :data:`HISTORY_TIMEOUT`.
    :param forgotten: whether the task may have had jobs without a record: it was cleared, its state deleted.
    :param try_number: Airflow's number of this try; lost submits are counted in each.
    :param adopt: a request id that is taken whatever the record says; nothing is sent.
    :param instead_of: this task's own job that is known to have FAILED at no cost; a new one is sent in its place.
    :param reuses: whether a job is taken that makes, or made, the same for any task; else a new one is sent.
    """

    model: str
    payload: Mapping[str, Any]
    fingerprint: str
    account: str
    task: str
    run: str
    clock: Callable[[], datetime]
    price: str = ""
    high: float | None = None
    guard: BudgetGuard | None = None
    expectation: str = ""
    grace: timedelta = ORPHAN_GRACE
    on_orphaned_intent: OnOrphanedIntent = "submit"
    history_timeout: timedelta = HISTORY_TIMEOUT
    forgotten: bool = False
    try_number: int = 0
    adopt: str | None = None
    instead_of: str | None = None
    reuses: bool = False

    @property
    def name(self) -> tuple[str, str]:
        """Its task's name among all tasks of the DAG."""
        return self.run, self.task

    def intent(self, **more: Any) -> Record:
        """Return the record of a submit that is about to be sent."""
        return Record(
            fingerprint=self.fingerprint,
            account=self.account,
            model=self.model,
            intended_at=self.clock(),
            price=self.price,
            high=self.high,
            try_number=self.try_number,
            **more,
        )

    def claim(self, record: Record) -> Claim:
        """Return what the siblings see of a record."""
        return Claim(task=self.task, run=self.run, record=record)

    def window(self, record: Record) -> Window:
        """Return when the job of an intent may have been accepted."""
        return Window.after(record.intended_at, self.grace)

    def windows(self, intent: Record, others: Iterable[Claim]) -> list[Window]:
        """
        Return when the job that is left for this task may have been accepted.

        Another task that wants the same may have taken this task's job, while this task was gone, and left its own.
        """
        return [*(self.window(record) for record in self._swapped(intent, others)), self.window(intent)]

    def grace_over(self, intent: Record, others: Iterable[Claim]) -> datetime:
        """Return when the job left for this task, its own or a sibling's, can no longer appear late."""
        swapped = self._swapped(intent, others)
        return max([intent.intended_at, *(record.intended_at for record in swapped)]) + self.grace

    def alike(self, intent: Record, others: Iterable[Claim]) -> list[Claim]:
        """Return the tasks with jobs that cannot be distinguished from this task's: same wish, same file addresses."""
        same = (self.fingerprint, intent.uploads)
        return [claim for claim in others if (claim.record.fingerprint, claim.record.uploads) == same]

    def _swapped(self, intent: Record, others: Iterable[Claim]) -> list[Record]:
        """Return the records of other tasks that may hold this task's job; one that had its own receipt does not."""
        return [
            claim.record
            for claim in self.alike(intent, others)
            if claim.record.request_id is not None and claim.record.found
        ]


def fingerprint(model: str, payload: Mapping[str, Any]) -> str:
    """Return a digest of what is wanted."""
    return hashlib.sha256(json.dumps([model, payload], sort_keys=True).encode()).hexdigest()


def account(base_url: str, api_key: str) -> str:
    """Return a digest of the account that pays: another digest may still be the same account, with another key."""
    return hashlib.sha256(json.dumps([base_url, api_key]).encode()).hexdigest()[:16]
