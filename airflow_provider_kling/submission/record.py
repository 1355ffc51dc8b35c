"""What is known about one task's submission: the record that is saved, and the claim that its siblings see."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_kling.segmind.clock import AwareMoment
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInputError
from airflow_provider_kling.segmind.identifiers import canonical_id
from airflow_provider_kling.segmind.money import Dollars
from airflow_provider_kling.segmind.sanitize import Name, Text, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self


#: The part of a claim's name for an iteration of a loop.
_ITERATION = re.compile(r" \(loop \d+\)")
#: The version of the record's form. A record of another version is an error, never "no record".
RECORD_VERSION = 2
#: At most this many refusals in a row are counted.
MOST_REFUSALS = 1000


class Record(BaseModel):
    """
    What is known about one task instance's submission, saved as JSON.

    :param fingerprint: of what is wanted, see :func:`airflow_provider_kling.submission.submission.fingerprint`.
    :param account: of the account that pays, see :func:`airflow_provider_kling.submission.submission.account`.
    :param intended_at: when the POST was about to be sent.
    :param price: what the job may cost, for messages.
    :param high: US dollars that it costs at most, if that is known.
    :param funded: whether the balance was seen to cover the task's batch.
    :param unclear: whether the POST has ended without a clear answer.
    :param refused: whether it was refused by an answer that a gateway may give for a request that it has passed on.
    :param void: whether it is known to have led to no job; only claims show that, to the siblings.
    :param refusals: how many submits in a row were refused so before it.
    :param lost: how many submits in a row had no answer and led to no job before it, in the try ``try_number``.
    :param request_id: the accepted job.
    :param found: whether the job was found in the request history, so that it may be the one that a sibling has sent.
    :param accepted_at: when it was accepted.
    :param closed: whether the task is done with the job: another attempt submits another one. That is so once Airflow
        has marked the task as success, and once the job has FAILED for good.
    :param cost: US dollars that the job was billed, if its task waited for its end; 0 if it FAILED uncharged.
    :param former: the earlier jobs of this task; they are never adopted again.
    :param seen: jobs that were in the history before the intent: none of them is its job.
    :param ordered: those of its jobs that a user gave it with ``adopt_request_id``, or that it uses again: another task
        may have sent them.
    :param reused: whether its job is one that was sent for the same before, by another task or by this one.
    :param former_cost: US dollars that the former jobs cost.
    :param uploads: the addresses that the payload's files were sent under, by their sha256.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    version: int = RECORD_VERSION
    fingerprint: Text
    account: Text = ""
    model: Text
    intended_at: AwareMoment
    price: Text = ""
    high: Dollars | None = None
    funded: bool = False
    unclear: bool = False
    refused: bool = False
    refusals: int = Field(default=0, ge=0, le=MOST_REFUSALS)
    lost: int = Field(default=0, ge=0, le=MOST_REFUSALS)
    try_number: int = 0
    may_run: bool = False
    void: bool = False
    request_id: Text | None = None
    found: bool = False
    accepted_at: AwareMoment | None = None
    closed: bool = Field(default=False, validation_alias=AliasChoices("closed", "delivered"))  # the latter until 0.1
    cost: Dollars | None = None
    former: tuple[Text, ...] = ()
    seen: tuple[Text, ...] = ()
    ordered: tuple[Text, ...] = ()
    reused: bool = False
    former_cost: Dollars = 0.0
    uploads: dict[Name, Text] = Field(default_factory=dict)

    @property
    def jobs(self) -> tuple[str, ...]:
        """Every job that the task has had, as the API writes their ids; the one that it has now is the last."""
        return self.former if self.request_id is None else (*self.former, canonical_id(self.request_id))

    @property
    def has_no_job(self) -> bool:
        """Whether no job is billed for it, as far as is known."""
        return self.request_id is None and (self.void or (self.refused and not self.may_run))

    def is_of(self, request_id: str) -> bool:
        """Whether that is its job."""
        return self.request_id is not None and canonical_id(self.request_id) == canonical_id(request_id)

    def as_left(self) -> Self:
        """Return the record of an earlier attempt as siblings see it: no receipt is expected any more."""
        return self if self.request_id is not None else self.model_copy(update={"unclear": True})

    def concluded(self, cost: float | None) -> Self:
        """Return the record once the task is done with its job; what the job cost stays known, if this is None."""
        return self.model_copy(update={"closed": True, "cost": self.cost if cost is None else cost})

    def without_job(self, takers: Iterable[Claim]) -> Self:
        """Return the record without its job, which siblings have taken: the siblings' own is left to be found."""
        return self.model_copy(
            update={
                "request_id": None,
                "found": False,
                "refused": False,
                "accepted_at": None,
                "closed": False,
                "cost": None,
                "intended_at": max(self.intended_at, *(claim.record.intended_at for claim in takers)),
                # A delivered job stays this task's; another one is the taker's only as long as that holds it.
                "former": self.jobs if self.closed else self.former,
            }
        )


class Claim(BaseModel):
    """What a task shows its siblings, and those in the DAG's other runs: its name and its submission's state."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    task: Text
    run: Text = ""
    record: Record

    @property
    def name(self) -> tuple[str, str]:
        """Its name among all tasks of the DAG."""
        return self.run, self.task


def read_record(stored: Any) -> Record | None:
    """
    Return the stored record.

    :raises SegmindInputError: something is stored that is not a record of a version known here.
    """
    if stored is None:
        return None
    try:
        record = Record.model_validate(stored)
    except ValidationError:
        record = None
    if record is None or record.version != RECORD_VERSION:
        raise SegmindInputError(
            f"The submission's stored record cannot be read ({_as_told(stored)}), so it is "
            "unknown whether a job runs already; nothing was sent. Look in Segmind's request history, then delete "
            "the task's state entry, or the Variable that holds it, and clear the task to submit again, or set "
            "adopt_request_id to take the job."
        )
    return record


def _as_told(stored: Any) -> str:
    try:
        return one_line(json.dumps(stored, default=str))[:200]
    except (TypeError, ValueError, RecursionError):
        return f"a {type(stored).__name__}"


def awaited_record(stored: Any, shown: Callable[[], Any]) -> Record:
    """
    Return the record of the accepted job that a task waits for.

    What the task has published is for its siblings: an attempt that Airflow has given up may still write there. It is
    read only if the record is gone, such as a Variable that was deleted by hand.

    :param stored: the task's record.
    :param shown: reads what the task has published.
    :raises SegmindError: neither names a job.
    """
    record = read_record(stored)
    if record is None or record.request_id is None:
        record = next((claim.record for claim in read_claims([shown()])), None)
    if record is None or record.request_id is None:
        raise SegmindError(
            "The record of this task's job is gone, so it is not known which job it waits for; nothing was sent. Find "
            "the job in Segmind's request history, set adopt_request_id to its id, then clear this task."
        )
    return record


def read_claims(published: Iterable[Any], *, besides: tuple[str, str] = ("", "")) -> list[Claim]:
    """Return the claims of all tasks besides the one of that name; anything but a claim of this version is skipped."""
    claims = []
    for value in published:
        try:
            claims.append(Claim.model_validate(value))
        except ValueError:
            continue
    return [claim for claim in claims if claim.name != besides]


def without_iteration(task: str) -> str:
    """Return the task instance's name in a claim's name, which also names the iteration of a loop."""
    return _ITERATION.sub("", task)


def withdrawn(task: str, run: str) -> dict[str, Any]:
    """Return what a task shows in place of a claim, so that its siblings do not wait for one."""
    return {"task": task, "run": run, "record": None}


def read_withdrawn(published: Iterable[Any]) -> set[tuple[str, str]]:
    """Return the names of the tasks that show that they have no claim."""
    return {
        (str(value.get("run", "")), str(value["task"]))
        for value in published
        if isinstance(value, dict) and "task" in value and value.get("record") is None
    }
