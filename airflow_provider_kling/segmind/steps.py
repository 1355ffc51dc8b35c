"""What an attempt at a submission asks of whoever drives it, step by step, and what it keeps and shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_kling.segmind.clocks import AwareMoment
from airflow_provider_kling.segmind.dollars import Dollars
from airflow_provider_kling.segmind.foreign import Name, Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


#: What stands in a claim's name for an iteration of a loop.
_ITERATION = re.compile(r" \(loop \d+\)")
#: Of the record's form. A record of another one is an error, never "no record".
RECORD_VERSION = 2
#: No more refusals in a row than that are counted.
MOST_REFUSALS = 1000


class Record(BaseModel):
    """
    What is known of one task instance's submission, kept as JSON.

    :param fingerprint: of what is wanted, see :func:`airflow_provider_kling.segmind.submission.fingerprint`.
    :param account: of whose account pays, see :func:`airflow_provider_kling.segmind.submission.account`.
    :param intended_at: when the POST was about to be sent.
    :param price: what the job may cost, for messages.
    :param high: US dollars that it costs at the most, where that is known.
    :param funded: whether the balance was seen to cover the task's batch.
    :param unclear: whether the POST has ended without a clear answer.
    :param refused: whether it was refused in a way in which a gateway may answer for a request that it has passed on.
    :param refusals: how many submits in a row were refused so before it.
    :param request_id: the accepted job.
    :param found: whether the job was found in the request history, so that it may be the one that a sibling has sent.
    :param accepted_at: when it was accepted.
    :param delivered: whether nothing more is wanted of the job: Airflow has counted its task as successful, or it has
        FAILED for good. Another attempt wants another job.
    :param cost: US dollars that the job was billed, where the task that had it waited for its end; 0 if it FAILED
        uncharged.
    :param former: the jobs of this task that an earlier generation had; they are never adopted again.
    :param seen: jobs that were in the history before the intent: whosever they are, none of them is its job.
    :param ordered: those of its jobs that a user gave it with ``adopt_request_id``: another task may have sent them.
    :param former_cost: US dollars that they cost.
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
    request_id: Text | None = None
    found: bool = False
    accepted_at: AwareMoment | None = None
    delivered: bool = False
    cost: Dollars | None = None
    former: tuple[Text, ...] = ()
    seen: tuple[Text, ...] = ()
    ordered: tuple[Text, ...] = ()
    former_cost: Dollars = 0.0
    uploads: dict[Name, Text] = Field(default_factory=dict)


class Claim(BaseModel):
    """What a task tells its siblings, and those of the DAG's other runs: who it is and how its submission stands."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    task: Text
    run: Text = ""
    record: Record

    @property
    def name(self) -> tuple[str, str]:
        """What it is known by among all tasks of the DAG."""
        return self.run, self.task


@dataclass(frozen=True, slots=True)
class Recall:
    """Answer with the stored record as JSON, or None."""


@dataclass(frozen=True, slots=True)
class CheckPlace:
    """Throw if what the job makes could not be saved: before anything is stored, uploaded or sent."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Store the record, so that it outlives the attempt."""

    record: Record


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the stored record: nothing was accepted."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Show the claim to the sibling tasks."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Show the sibling tasks that there is nothing: no job came of the claim."""


@dataclass(frozen=True, slots=True)
class AskSiblings:
    """Answer with the claims that tasks of the run have published, as JSON."""


@dataclass(frozen=True, slots=True)
class AskRunning:
    """
    Answer with the submitting tasks that run now, such as ``submit[3]``, without iterations.

    :param retried: whether those that are to be retried count too.
    """

    retried: bool = False


@dataclass(frozen=True, slots=True)
class AskOtherRuns:
    """
    Answer with the claims that tasks of the DAG's other runs have published, as JSON.

    :param leave_out: whether what cannot be read is left out; else it is an error.
    """

    leave_out: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """Answer with the addresses of the payload's files, by their sha256; upload those that have none yet."""


@dataclass(frozen=True, slots=True)
class AskBills:
    """Answer with the bills that tasks of the run have published, as JSON."""


@dataclass(frozen=True, slots=True)
class AskFunds:
    """Answer with the account's balance and the size of the task's batch, or throw."""


@dataclass(frozen=True, slots=True)
class Post:
    """Send the submit once, with those addresses; answer with the receipt, or throw what came of it."""

    uploads: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """Answer with the history's rows of the model that were created from then to then, or throw."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class AskOwner:
    """Answer whether the account's history knows the job, or throw."""

    request_id: str


@dataclass(frozen=True, slots=True)
class AskModel:
    """Answer with the model that the account's history names for the job, or None; or throw."""

    request_id: str


@dataclass(frozen=True, slots=True)
class AskCost:
    """Answer with what the account's history says that the job was billed, or None where it does not say; or throw."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the request id to the tasks downstream."""

    claim: Claim
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class Tell:
    """Write a line into the task's log."""

    level: Literal["info", "warning"]
    line: str


#: What Segmind is asked and costs nothing.
Question = Look | AskFunds | AskOwner | AskModel | AskCost
Step = (
    Recall
    | CheckPlace
    | Keep
    | Forget
    | Publish
    | Withdraw
    | AskSiblings
    | AskRunning
    | AskOtherRuns
    | AskBills
    | Upload
    | Post
    | Question
    | Pause
    | Deliver
    | Tell
)


def read_claims(published: Iterable[Any], *, besides: tuple[str, str] = ("", "")) -> list[Claim]:
    """Return the claims of all tasks besides the one of that name; what is no claim of this version is none."""
    claims = []
    for value in published:
        try:
            claims.append(Claim.model_validate(value))
        except ValueError:
            continue
    return [claim for claim in claims if claim.name != besides]


def without_iteration(task: str) -> str:
    """Return the name of the task instance that a claim's name is of: an iteration of a loop has one of its own."""
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
