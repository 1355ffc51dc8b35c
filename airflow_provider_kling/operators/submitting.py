"""The steps of a submission, carried out on Airflow and Segmind."""

from __future__ import annotations

import time
from datetime import UTC
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind import outlook, submission
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.refusals import one_line
from airflow_provider_kling.segmind.uploaded import filled_in
from airflow_provider_kling.siblings import RECORD_KEY
from airflow_provider_kling.storage.uploads import Uploads
from airflow_provider_kling.versions import task_state_store

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.payloads.checking import Request
    from airflow_provider_kling.storage.sources import Staged


class SubmissionDriver:
    """
    Carry out what :meth:`Submission.attempt` asks for; it decides, this only does.

    :param hook: sends and looks.
    :param request: what is sent, files by their stand-ins.
    :param siblings: the tasks of the DAG that submit, mapped ones and this one included.
    :param log: the task's logger, which differs in kind from one Airflow to the next.
    :param files: the files of the request.
    """

    def __init__(
        self,
        context: Context,
        hook: SegmindHook,
        request: Request,
        siblings: Sequence[str],
        log: Any,
        files: Sequence[Staged] = (),
    ) -> None:
        self.ti = context["ti"]
        self.store = task_state_store(context)
        self.hook = hook
        self.request = request
        self.siblings = siblings
        self.log = log
        self.files = files
        self.uploads = Uploads(context, hook, log)

    def run(self, attempt: Generator[submission.Step, Any, submission.Record]) -> str:
        """
        Go through the attempt; return the request id.

        :raises SegmindError: whatever went wrong, Airflow's own failures included.
        """
        durable = self.store is not None
        try:
            return self._run(attempt)
        except SegmindError:
            raise
        except Exception as exc:
            raise SegmindError(outlook.cut_short(one_line(exc), durable=durable)) from exc
        except BaseException as exc:  # a timeout, or the worker is told to stop: Airflow has to see it as it is
            self.log.error(outlook.cut_short(type(exc).__name__, durable=durable))  # noqa: TRY400 as just said
            raise

    def _run(self, attempt: Generator[submission.Step, Any, submission.Record]) -> str:
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

    def _carry_out(self, step: submission.Step) -> Any:
        match step:
            case submission.Recall():
                return self.store.get(RECORD_KEY) if self.store else None
            case submission.Keep(record=record):
                self._write(record)
            case submission.Forget():
                self._write(None)
            case submission.Publish(claim=claim):
                self._push(RECORD_KEY, claim.model_dump(mode="json"))
            case submission.AskSiblings():
                published = self.ti.xcom_pull(task_ids=self.siblings, key=RECORD_KEY)
                return [claim for claim in published if claim]
            case submission.Upload():
                return self.uploads.addresses(self.files)
            case submission.Post(uploads=uploads):
                return self.hook.submit(self.request.model, filled_in(self.request.parameters, uploads))
            case submission.Look(since=since):
                return self.hook.find_requests(model=self.request.model, since=since)
            case submission.Pause(seconds=seconds):
                time.sleep(seconds)
            case submission.Deliver(claim=claim, submitted_at=submitted_at):
                self._push(RECORD_KEY, claim.model_dump(mode="json"))
                self._push("model", self.request.model)
                self._push("submitted_at", submitted_at.astimezone(UTC).isoformat())
            case submission.Tell(level=level, line=line):
                getattr(self.log, level)("%s", line)
        return None

    def _write(self, record: submission.Record | None) -> None:
        if self.store is None:
            return
        if record is None:
            self.store.delete(RECORD_KEY)
        else:
            self.store.set(RECORD_KEY, record.model_dump(mode="json"))

    def _push(self, key: str, value: Any) -> None:
        self.ti.xcom_push(key=key, value=value)
