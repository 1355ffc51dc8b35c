"""The identity of a row of the ledger: the task that owns it, and what that task wants."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """
    A task instance, among those of all Airflows that share the ledger.

    :param deployment: the label of its Airflow, ``[kling] deployment``; empty where only one uses the ledger.
    :param task: its name within the run, see :func:`airflow_provider_kling.xcoms.instance_name`.
    :param project: whose money it is: the budget's project, or else the DAG.
    """

    deployment: str
    dag_id: str
    run_id: str
    task: str
    project: str

    @property
    def key(self) -> str:
        """A digest that fits into an index of any database."""
        name = [self.deployment, self.dag_id, self.run_id, self.task]
        return hashlib.sha256(json.dumps(name).encode()).hexdigest()


#: Characters of a variant, as of any label in the ledger's tables.
LONGEST_VARIANT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What a task wants.

    :param host: of the API: results of a simulator are not results of Segmind.
    :param content: a digest of the model, its parameters and the files behind them.
    :param account: see :func:`airflow_provider_kling.submission.submission.account`.
    :param variant: tells apart wanted repetitions of the same content.
    :param low: US dollars that its published price begins with; None if there is none.
    :param payload: the parameters, as JSON; None where only digests are stored.
    :param max_age: how old a result may be that is used again; None if any may.
    """

    host: str
    model: str
    content: str
    account: str = ""
    variant: str = ""
    low: float | None = None
    payload: str | None = None
    max_age: timedelta | None = None
