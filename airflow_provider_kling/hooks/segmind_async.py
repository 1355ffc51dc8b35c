"""
The hook for triggers: the protocol over ``aiohttp``, with one pool for all waits of a connection.

It only reads. Paid requests are sent by workers, never by a trigger, which may run twice.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_kling.get_provider_info import DEFAULT_CONN_ID
from airflow_provider_kling.hooks.session_pool import Pool
from airflow_provider_kling.polling.job_wait import Question
from airflow_provider_kling.segmind import protocol
from airflow_provider_kling.segmind.errors import SegmindRequestNotFoundError
from airflow_provider_kling.segmind.identifiers import checked_request_id, id_forms

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from airflow_provider_kling.polling.schedule import Job
    from airflow_provider_kling.segmind.call import Call
    from airflow_provider_kling.segmind.schemas import Credits, Result, Status

T = TypeVar("T")


class SegmindAsyncHook(BaseHook):
    """
    Read from Segmind on an event loop, as a trigger does; use it with ``async with``.

    All hooks of one connection on one loop share a session and the connection's requests per minute.
    Each call is sent once: the caller decides after a failure, see
    :mod:`airflow_provider_kling.polling.job_wait`.

    :param segmind_conn_id: a connection of type ``segmind``.
    """

    def __init__(self, segmind_conn_id: str = DEFAULT_CONN_ID) -> None:
        super().__init__()
        self.segmind_conn_id = segmind_conn_id
        self._pool: Pool | None = None

    async def __aenter__(self) -> Self:
        self.pool  # noqa: B018 joins it
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pool(self) -> Pool:
        """What all hooks of this connection share on this event loop."""
        if self._pool is None:
            self._pool = Pool.join(self.segmind_conn_id)
        return self._pool

    async def close(self) -> None:
        """Leave the pool; the last one closes its connections."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.leave()

    async def ask(self, question: Question, request_id: str, job: Job | None = None) -> Status:
        """
        Return the answer to one question of a poll.

        :param job: the job, for its priority if requests per minute are scarce; None goes first.
        """
        match question:
            case Question.STATUS:
                return await self._send(protocol.status(request_id), job)
            case Question.RESULT:
                return await self._send(protocol.result(request_id), job)
            case Question.HISTORY:
                return await self.find_request(request_id)

    async def get_status(self, request_id: str) -> Status:
        """Return a job's status; FAILED is an answer, not an error."""
        return await self._send(protocol.status(request_id))

    async def get_result(self, request_id: str) -> Result:
        """Return a job's output, with its files in ``urls``; a job that runs or FAILED has none."""
        return await self._send(protocol.result(request_id))

    async def find_request(self, request_id: str) -> Result:
        """Return what the request history says about a job of any age: its state, its file and its cost."""
        forms = id_forms(checked_request_id(request_id))
        for form in forms[:-1]:
            with suppress(SegmindRequestNotFoundError):
                return await self._send(protocol.past_request(form))
        return await self._send(protocol.past_request(forms[-1]))

    async def get_credits(self) -> Credits:
        """Return the balance in US dollars."""
        return await self._send(protocol.credit_balance())

    async def _send(self, call: Call[T], job: Job | None = None) -> T:
        return await self.pool.send(call, job)
