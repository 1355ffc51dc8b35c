"""
Everything that can go wrong between a DAG and a Kling job, one class for each.

* SegmindError
  + SegmindInputError                 found on this side: nothing was sent, nothing was paid
    - SegmindSettingsError            the connection
      * SegmindConnectionMissingError Airflow does not find it, or could not read it
    - KlingPayloadError               the payload
    - KlingBudgetExceededError        what the job may cost
    - KlingLedgerSettingsError        the ledger: its connection, its tables
  + SegmindBadRequestError            400, 405, 406 with a refused value or content type
  + SegmindAuthenticationError        401
  + SegmindPermissionError            403
  + SegmindModelNotFoundError         404 for a model
    - SegmindModelRetiredError        410
  + SegmindRequestNotFoundError       404 for a request: unknown or expired
  + SegmindInsufficientCreditsError   406 with credits or a spend limit
  * SegmindRateLimitError             429
  * SegmindServerError                5xx, where it is a refusal
  * SegmindConnectionError            no connection, or no answer to a question that costs nothing
  * SegmindAmbiguousSubmitError       a paid request was sent, its outcome is unknown; a retry searches for it
    - SegmindUnresolvedSubmitError +  and no retry can resolve it: a person has to
  + SegmindClockError                 this machine's clock and Segmind's are too far apart
  * SegmindResponseError              an answer that is not what the API promises
  + KlingGenerationFailedError        the job ended FAILED
  * KlingGenerationTimeoutError       the deadline passed, the job goes on
  * KlingDownloadError                a finished job's file could not be fetched; fetching again costs nothing
    - KlingDownloadRefusedError +     its link or its size is not allowed
    - KlingFileExpiredError +         its link is dead, and the request history has no other
  * KlingStorageError                 the file could not be saved at its destination
    - KlingNameTakenError +           another job's file has the name
  * KlingLedgerError                  the ledger's database does not answer

``*`` a retry may help, ``+`` it cannot: what has to change is the key, the balance, the payload. None derives from
``AirflowException``, which ``soft_fail`` would turn into a skip.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow_provider_kling.segmind.sanitize import fit_value, one_paragraph, shortened


class SegmindError(Exception):
    """
    Anything that went wrong with Segmind; the message is one line that says what to do.

    :param message: the line.
    :param request_id: the job concerned, where there is one.
    :param status_code: the HTTP status of the answer, where there was one.
    :param body: the first part of the answer's body, where there was one.
    :param facts: what a subclass adds, by the names in its ``extra_facts``.
    """

    #: Whether the same call may succeed later with nothing changed on the user's side.
    retryable: ClassVar[bool] = True
    #: Whether a wait ends with it: no later poll can succeed.
    ends_wait: ClassVar[bool] = False
    #: Whether a paid request with this answer may have been accepted: the answer is not in Segmind's form. Another
    #: process is not told.
    may_be_accepted: bool = False
    #: Names of the attributes that a subclass adds; all hold plain JSON values or None.
    extra_facts: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        message: str,
        *,
        request_id: str | None = None,
        status_code: int | None = None,
        body: str | None = None,
        **facts: Any,
    ) -> None:
        unknown = facts.keys() - set(self.extra_facts)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        # It quotes Segmind, storages and Airflow: it is cleaned, so that logs and triggers accept it.
        super().__init__(shortened(one_paragraph(message)))
        self.request_id: str | None = fit_value(request_id)
        self.status_code: int | None = fit_value(status_code)
        self.body: str | None = fit_value(body)
        for name in self.extra_facts:
            setattr(self, name, fit_value(facts.get(name)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Preserve every fact when Airflow passes the error from one process to another."""
        return SegmindError.from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain JSON, for the event of a trigger."""
        names = ("request_id", "status_code", "body", *self.extra_facts)
        facts = {name: getattr(self, name) for name in names}
        return {"class": type(self).__name__, "message": str(self), **facts}

    def followed_by(self, advice: str) -> SegmindError:
        """Return the same error with one more sentence: what the task will do next."""
        told = self.from_dict({**self.to_dict(), "message": f"{self} {advice}"})
        told.__cause__ = self.__cause__
        return told

    @classmethod
    def from_dict(cls, serialised: dict[str, Any]) -> SegmindError:
        """Rebuild what :meth:`to_dict` wrote; an unknown class, of a newer version, becomes SegmindError."""
        error_class = _all_classes(SegmindError).get(str(serialised.get("class")), SegmindError)
        known = ("request_id", "status_code", "body", *error_class.extra_facts)
        facts = {name: serialised[name] for name in known if name in serialised}
        return error_class(str(serialised.get("message")), **facts)


class SegmindInputError(SegmindError, ValueError):
    """An argument, the connection or the payload cannot work; nothing was sent and nothing was paid."""

    retryable = False
    ends_wait = True


class SegmindSettingsError(SegmindInputError):
    """The Airflow connection is missing or cannot work as it is; change the connection."""


class SegmindConnectionMissingError(SegmindSettingsError):
    """Airflow found no such connection; it also says so when its backend did not answer, so a retry may help."""

    retryable = True


class KlingPayloadError(SegmindInputError):
    """The payload is refused before it is sent; change the parameters at fault: ``fields``."""

    extra_facts = ("fields",)
    fields: list[str] | None


class KlingBudgetExceededError(SegmindInputError):
    """
    The job may cost more than its task or the DAG run is allowed; nothing was sent.

    All in US dollars: the ``limit`` that would be exceeded, ``billed`` and ``in_flight`` (of ``in_flight_jobs`` jobs)
    in this run, the highest ``estimate`` of this job; None where it does not apply.
    """

    extra_facts = ("limit", "billed", "in_flight", "in_flight_jobs", "estimate")
    limit: float | None
    billed: float | None
    in_flight: float | None
    in_flight_jobs: int | None
    estimate: float | None


class KlingLedgerSettingsError(SegmindInputError):
    """The ledger cannot work as it is: its connection, its tables or what may be done with them."""


class SegmindBadRequestError(SegmindError):
    """Segmind refused the request itself: a value, a missing field, the content type or the verb."""

    retryable = False


class SegmindAuthenticationError(SegmindError):
    """Segmind does not accept the API key; correct the connection's password."""

    retryable = False
    ends_wait = True


class SegmindPermissionError(SegmindError):
    """The account or team may not use this model; ask the workspace's owner."""

    retryable = False
    ends_wait = True


class SegmindModelNotFoundError(SegmindError):
    """Segmind serves no model under this slug."""

    retryable = False


class SegmindModelRetiredError(SegmindModelNotFoundError):
    """Segmind has retired the model; choose its successor."""


class SegmindRequestNotFoundError(SegmindError):
    """Segmind has no record of the request: never made, or expired. The API does not say which."""

    retryable = False


class SegmindInsufficientCreditsError(SegmindError):
    """The balance or a team's limit does not cover the job; ``balance`` and ``needed`` in US dollars, if given."""

    retryable = False
    extra_facts = ("balance", "needed")
    balance: float | None
    needed: float | None


class SegmindRateLimitError(SegmindError):
    """The requests per minute are used up; ``reset_at`` is when the next window opens, ISO 8601, if it is given."""

    extra_facts = ("reset_at",)
    reset_at: str | None


class SegmindServerError(SegmindError):
    """Segmind answered with a server error; a submit that ends so was refused, as far as the answer shows."""


class SegmindConnectionError(SegmindError):
    """No connection, or no answer to what costs nothing; ``sent`` says whether any of it left this machine."""

    extra_facts = ("sent",)
    sent: bool | None


class SegmindAmbiguousSubmitError(SegmindError):
    """A paid request's outcome is unknown; ``look_again_at``: when more may be known, ISO 8601, if waiting helps."""

    extra_facts: ClassVar[tuple[str, ...]] = ("look_again_at",)
    look_again_at: str | None


class SegmindUnresolvedSubmitError(SegmindAmbiguousSubmitError):
    """A person has to say which job is the task's; ``candidates``: the ids of those that it may be."""

    retryable = False
    extra_facts = ("look_again_at", "candidates")
    candidates: list[str] | None


class SegmindClockError(SegmindError):
    """This machine's clock and Segmind's are too far apart to identify jobs by their times; set the clock."""

    retryable = False


class SegmindResponseError(SegmindError):
    """The answer is not what the API promises: a proxy's page, a redirect, truncated or foreign JSON."""


class KlingGenerationFailedError(SegmindError):
    """
    The job ended FAILED, which Segmind does not charge; only another submit can bring a result.

    ``detail``: Segmind's own words. ``blocked``: content rules stopped it, so the same prompt and
    pictures will be stopped again. ``metrics``: seconds in queue and at work, as given.
    """

    retryable = False
    extra_facts = ("detail", "blocked", "metrics")
    detail: str | None
    blocked: bool | None
    metrics: dict[str, Any] | None


class KlingGenerationTimeoutError(SegmindError):
    """The deadline passed; the job still runs, is still billed, and can be waited for again."""


class KlingDownloadError(SegmindError):
    """A finished job's file could not be fetched, or is not what it should be; a retry costs nothing."""


class KlingDownloadRefusedError(KlingDownloadError):
    """The file is not fetched: its link leads to a place that is not allowed, or it is too large."""

    retryable = False


class KlingFileExpiredError(KlingDownloadError):
    """The link is dead and the request history knows no other: Segmind keeps files for seven days."""

    retryable = False


class KlingStorageError(SegmindError):
    """A file could not be saved at its destination: a full disk, no such bucket, no permission."""


class KlingNameTakenError(KlingStorageError):
    """The file of another task, another run or a person has the name already; it is left as it is."""

    retryable = False


class KlingLedgerError(SegmindError):
    """The ledger's database does not answer; a retry may help."""


def _all_classes(root: type[SegmindError]) -> dict[str, type[SegmindError]]:
    classes = {root.__name__: root}
    for child in root.__subclasses__():
        if child.__module__ == __name__:  # operators/failure.py adds others of the same names
            classes.update(_all_classes(child))
    return classes
