"""The steps of a submission, carried out on Airflow and Segmind."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.budget.costs import bill_of
from airflow_provider_kling.budget.guard import BatchBalance
from airflow_provider_kling.operators.reuse import is_kept, wanted_by
from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindError,
    SegmindRequestNotFoundError,
)
from airflow_provider_kling.segmind.placeholders import filled_in
from airflow_provider_kling.segmind.sanitize import one_line
from airflow_provider_kling.submission import messages, steps
from airflow_provider_kling.submission.policy import SWAPS
from airflow_provider_kling.submission.record import read_record, withdrawn
from airflow_provider_kling.submission.record_and_ledger import record_store, task_ledger
from airflow_provider_kling.uploads.uploader import Uploads
from airflow_provider_kling.versions import mapped_instances, running_instances, when_counted
from airflow_provider_kling.xcoms import (
    BILL_KEY,
    RECORD_KEY,
    OtherRuns,
    Submitter,
    TellsCost,
    earlier_iterations,
    instance_name,
    published,
    siblings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from airflow.providers.common.compat.sdk import DAG, Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.ledger.task_ledger import TaskLedger
    from airflow_provider_kling.operators.reuse import Reuse
    from airflow_provider_kling.payloads.request import Request
    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.uploads.source_files import Staged


def _intended_at(stored: Any) -> datetime:
    """Return when a record's POST was about to be sent; now where there is no record that can be read."""
    with suppress(SegmindError):
        if (record := read_record(stored)) is not None:
            return record.intended_at
    return datetime.now(tz=UTC)


def conclude_when_counted(context: Context, log: Any, *, cost: float | None = None) -> None:
    """
    Once Airflow has marked the task as success, record that: from then on, clearing the task submits a new job.

    If something fails or dies before that, ``post_execute``, an XCom backend, or the task's assets, the next attempt
    takes the job. If a success is never recorded, clearing the task delivers the same job once more.

    :param cost: see :class:`Record`.
    """
    when_counted(context, lambda: conclude(context, log, cost=cost, succeeded=True))


def conclude(context: Context, log: Any, *, cost: float | None, succeeded: bool) -> None:
    """
    Record that the task is done with its job: clearing the task then submits a new one.

    A record that cannot be saved costs nothing: clearing the task then delivers the same job once more.

    :param cost: see :class:`Record`.
    :param succeeded: whether Airflow has marked the task as success; else its job has FAILED for good.
    """
    try:
        record_store(context).conclude(cost, succeeded=succeeded)
    except Exception as exc:  # noqa: BLE001 because the result is there, whatever Airflow's API says
        log.warning(
            "The end of the job could not be recorded (%s); clearing this task delivers it again.", one_line(exc)
        )


class SubmissionDriver:
    """
    Carry out the steps of an attempt; the attempt decides, the driver only executes.

    :param hook: sends, and reads the history.
    :param request: what is sent, with placeholders for files.
    :param dag: its tasks share what they know: who submits, and what it cost.
    :param log: the task's logger, with a type that depends on the Airflow version.
    :param files: the files of the request.
    :param check_place: raises if what the job makes could not be saved.
    """

    def __init__(
        self,
        context: Context,
        hook: SegmindHook,
        request: Request,
        dag: DAG,
        log: Any,
        files: Sequence[Staged],
        check_place: Callable[[], None],
        reuse: Reuse,
    ) -> None:
        self.context = context
        self.ti = context["ti"]
        wanted = wanted_by(hook, request, reuse)
        self.reuse = reuse
        self.ledger = task_ledger(context, wanted)
        self.records = record_store(context, wanted, log)
        self.hook = hook
        self.request = request
        self.siblings = siblings(dag, Submitter)
        self.other_runs = OtherRuns(context, self.siblings)
        self.cost_tellers = siblings(dag, TellsCost)
        self.earlier = earlier_iterations(context, self.siblings, self.cost_tellers)
        self.log = log
        self.files = files
        self.check_place = check_place
        self.uploads = Uploads(context, hook, log)
        #: Whether this attempt has sent the job, in place of adopting one.
        self.sent = False

    def run(self, attempt: Generator[steps.Step, Any, Record]) -> str:
        """
        Run the attempt; return the request id.

        :raises SegmindError: whatever went wrong, Airflow's own failures included.
        """
        try:
            self.earlier.show(self.context)
            return self._run(attempt)
        except SegmindError:
            raise
        except Exception as exc:
            raise SegmindAmbiguousSubmitError(messages.cut_short(one_line(exc))) from exc
        except BaseException as exc:  # a timeout, or the worker is stopped: Airflow has to see it unchanged
            self.log.error(messages.cut_short(type(exc).__name__))  # noqa: TRY400 as just said
            raise

    def _run(self, attempt: Generator[steps.Step, Any, Record]) -> str:
        step = next(attempt)
        while True:
            try:
                try:
                    answer = self._carry_out(step)
                except Exception as exc:  # noqa: BLE001 because the attempt says what each failure means
                    step = attempt.throw(exc)
                else:
                    step = attempt.send(answer)
            except StopIteration as end:
                request_id: str = end.value.request_id
                return request_id

    def _carry_out(self, step: steps.Step) -> Any:
        match step:
            case steps.CheckPlace():
                self.check_place()
            case steps.Pause(seconds=seconds):
                time.sleep(seconds)
            case steps.Log(level=level, line=line):
                getattr(self.log, level)("%s", line)
            case steps.Upload(links=links):
                return self.uploads.addresses(self.files, links)
            case steps.Post(uploads=uploads):
                self.sent = True
                return self.hook.submit(self.request.model, filled_in(self.request.parameters, uploads))
            case steps.SearchHistory() | steps.AskBalance() | steps.AskOwner() | steps.AskModel() | steps.AskCost():
                return self._ask_segmind(step)
            case _:
                return self._carry_out_on_airflow(step)
        return None

    def _ask_segmind(self, step: steps.Question) -> Any:
        match step:
            case steps.SearchHistory(since=since, until=until):
                return self.hook.find_requests(model=self.request.model, since=since, until=until)
            case steps.AskBalance():
                return BatchBalance(self.hook.get_credits().total, mapped_instances(self.context))
            case steps.AskOwner(request_id=request_id):
                return self._is_own(request_id)
            case steps.AskModel(request_id=request_id):
                return self._model_of(request_id)
            case steps.AskCost(request_id=request_id):
                return bill_of(request_id, None, self.hook.find_request(request_id)).cost

    def _carry_out_on_airflow(self, step: steps.Step) -> Any:
        match step:
            case steps.LoadRecord():
                stored = self.records.load()
                self._since = _intended_at(stored) - SWAPS
                return stored
            case steps.SaveRecord(record=record, before_post=before_post, unusable=unusable):
                self.records.save(record, before_post=before_post, unusable=unusable)
            case steps.AskReusable(besides=besides):
                return None if self.ledger is None else self.ledger.reusable(besides)
            case steps.AskKept(request_id=request_id):
                return self.ledger is not None and is_kept(self.ledger, self.hook, request_id, self.reuse, self.log)
            case steps.DeleteRecord():
                self.records.delete()
            case steps.Publish(claim=claim):
                self._push(RECORD_KEY, claim.model_dump(mode="json"))
                if self.ledger is not None:
                    self.ledger.show(claim)
            case steps.Withdraw():
                self._push(RECORD_KEY, withdrawn(instance_name(self.context), str(self.ti.run_id)))
                if self.ledger is not None:
                    self.ledger.show(None)
            case steps.AskSiblings() | steps.AskRunning() | steps.AskOtherRuns() | steps.AskBills():
                return self._ask_others(step) if self.ledger is None else self._ask_ledger(self.ledger, step)
            case steps.Deliver(claim=claim, submitted_at=submitted_at):
                self._push(RECORD_KEY, claim.model_dump(mode="json"))
                self._push("model", self.request.model)
                self._push("submitted_at", submitted_at.astimezone(UTC).isoformat())
        return None

    def _ask_others(self, step: steps.Step) -> Any:
        """Ask what other tasks show by XCom."""
        match step:
            case steps.AskSiblings():
                return [*self.earlier.claims, *published(self.ti, self.siblings, RECORD_KEY)]
            case steps.AskRunning(retried=retried):
                return running_instances(self.context, self.siblings, retried=retried)
            case steps.AskOtherRuns(leave_out=leave_out):
                return self.other_runs.claims(leave_out=leave_out)
            case steps.AskBills():
                return [*self.earlier.bills, *published(self.ti, self.cost_tellers, BILL_KEY)]

    def _ask_ledger(self, ledger: TaskLedger, step: steps.Step) -> Any:
        """Ask the ledger, which shows at once, and for good, what every task has."""
        match step:
            case steps.AskSiblings():
                return ledger.claims_of_run()
            case steps.AskRunning():  # nothing of theirs is hidden
                return []
            case steps.AskOtherRuns():
                return ledger.claims_elsewhere(self._since)
            case steps.AskBills():
                return ledger.bills_of_run()

    def _model_of(self, request_id: str) -> str | None:
        try:
            row = self.hook.find_row(request_id)
        except SegmindRequestNotFoundError:
            self.hook.get_status(request_id)  # its row may be late; the API itself knows a job of the last hour
            return None
        return None if row is None else row.model_name

    def _is_own(self, request_id: str) -> bool:
        """Ask the API and the history several times: one wrong answer would pay for the job again."""
        for pause in (1.0, 2.0, None):
            with suppress(SegmindRequestNotFoundError):
                self.hook.get_status(request_id)
                return True
            with suppress(SegmindRequestNotFoundError):
                if self.hook.find_row(request_id) is not None:
                    return True
            if pause is not None:
                time.sleep(pause)
        return False

    def _push(self, key: str, value: Any) -> None:
        self.ti.xcom_push(key=key, value=value)
