"""The steps of an attempt at a submission: what it asks of its driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_provider_kling.segmind.errors import SegmindError, SegmindInputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_kling.submission.record import Claim, Record


class TakenError(SegmindInputError):
    """Another task has the job."""


class TwinError(SegmindError):
    """Another task is about to send the same; ``look_again_at``: when more may be known, ISO 8601."""

    extra_facts = ("look_again_at",)
    look_again_at: str


class MadeElsewhereError(SegmindInputError):
    """What is wanted is made, or being made, since it was last looked for; the intent was not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reusable:
    """
    A job that makes, or made, what is wanted.

    :param request_id: None if it is not accepted yet.
    :param intended_at: when it was about to be sent; :param accepted_at: when it was accepted.
    :param is_done: whether it is COMPLETED.
    :param own: whether this task has sent it.
    """

    request_id: str | None
    intended_at: datetime
    accepted_at: datetime | None = None
    is_done: bool = False
    own: bool = False


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """Answer with the stored record as JSON, or None."""


@dataclass(frozen=True, slots=True)
class CheckPlace:
    """Throw if what the job makes could not be saved: before anything is stored, uploaded or sent."""


@dataclass(frozen=True, slots=True)
class SaveRecord:
    """
    Store the record, so that it outlives the attempt; throw :class:`TakenError` if another task has its job.

    :param before_post: whether its POST follows: then it has to fit the limits of the ledger, or is not stored.
    :param unusable: if its POST follows, and a result may be used again: jobs that are known not to be usable. If there
        is another by now, throw :class:`MadeElsewhereError`. None if the job is wanted anyway.
    """

    record: Record
    before_post: bool = False
    unusable: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class AskReusable:
    """Answer with a :class:`Reusable` besides these jobs, or None."""

    besides: frozenset[str]


@dataclass(frozen=True, slots=True)
class AskKept:
    """Answer whether the files of a COMPLETED job are still there."""

    request_id: str


@dataclass(frozen=True, slots=True)
class DeleteRecord:
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

    :param retried: whether those that are up for retry count too.
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
    """
    Upload the files of the payload; the answer is their addresses, by sha256, and those of dead links, by the link.

    :param links: which the payload has: for one that is dead the run may have a saved copy.
    """

    links: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AskBills:
    """Answer with the bills that tasks of the run have published, as JSON."""


@dataclass(frozen=True, slots=True)
class AskBalance:
    """Answer with the account's balance and the size of the task's batch, or throw."""


@dataclass(frozen=True, slots=True)
class Post:
    """Send the submit once, with those addresses; answer with the receipt, or throw what came of it."""

    uploads: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """Answer with the history's rows of the model that were created between these times, or throw."""

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
    """Answer with what the job was billed according to the account's history, or None if it does not say; or throw."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """Pass the request id to the downstream tasks."""

    claim: Claim
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class Log:
    """Write a line into the task's log."""

    level: Literal["info", "warning"]
    line: str


#: The requests to Segmind that cost nothing.
Question = SearchHistory | AskBalance | AskOwner | AskModel | AskCost
Step = (
    LoadRecord
    | CheckPlace
    | SaveRecord
    | AskReusable
    | AskKept
    | DeleteRecord
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
    | Log
)
