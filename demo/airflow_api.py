"""Airflow's public REST API, as a user's script calls it. Airflow 2's and 3's differ in little."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import requests

from demo.problems import DemoError
from demo.versions import AIRFLOW_2

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT = (5, 60)


class NotAnsweringError(DemoError):
    """The API gives no answer now; a moment later it may."""


class AirflowApi:
    """
    The API of one Airflow.

    :param url: of the server.
    :param login: user name and password, the same. Airflow 2 is set up to ask for none.
    """

    def __init__(self, url: str, login: str) -> None:
        self._url = url
        self._login = login
        self._session = requests.Session()
        self._session.trust_env = False  # it is on this machine, whatever proxy leads to the rest of the world

    def get(self, path: str, **query: Any) -> Any:
        """Ask for something."""
        return self._ask("GET", path, query=query).json()

    def text(self, path: str) -> str:
        """Ask for something that not every Airflow gives as JSON."""
        return self._ask("GET", path).text

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Have something done."""
        self._ask("POST", path, body)

    def serves_workers(self) -> bool:
        """
        Tell whether a worker would be answered at once; raises while nobody would.

        Airflow 3 builds what answers workers at the first question, which takes seconds. Workers wait for five and
        then fail their task.
        """
        return AIRFLOW_2 or self._send("GET", f"{self._url}/execution/health").ok

    def knows(self, dag_id: str) -> bool:
        """Tell whether a DAG can be run; raises when its file, which has the same name, cannot be imported."""
        for error in self.get("importErrors")["import_errors"]:
            if error["filename"].endswith(f"{dag_id}.py"):
                raise DemoError(f"Airflow cannot import {error['filename']}: {error['stack_trace'].strip()}")
        return bool(self.get("dags", dag_id_pattern=dag_id)["dags"])

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> requests.Response:
        if not AIRFLOW_2 and "Authorization" not in self._session.headers:
            credentials = {"username": self._login, "password": self._login}
            token = self._send("POST", f"{self._url}/auth/token", credentials).json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"
        return self._send(method, f"{self._url}/api/{'v1' if AIRFLOW_2 else 'v2'}/{path}", body, query)

    def _send(
        self, method: str, url: str, body: Mapping[str, Any] | None = None, query: Mapping[str, Any] | None = None
    ) -> requests.Response:
        try:
            answer = self._session.request(method, url, json=body, params=query, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise NotAnsweringError(f"Airflow's API does not answer: {error}") from error
        if not answer.ok:
            kind = NotAnsweringError if answer.status_code >= requests.codes.server_error else DemoError
            raise kind(f"Airflow answered {method} {url} with {answer.status_code}: {answer.text}")
        return answer


@dataclass(frozen=True)
class XCom:
    """A value that a task pushed, and when."""

    value: Any
    stored_at: datetime


@dataclass(frozen=True)
class DagRun:
    """A run of a DAG, as the API shows it."""

    api: AirflowApi
    dag_id: str
    run_id: str

    @classmethod
    def trigger(cls, api: AirflowApi, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> Self:
        """Start a run."""
        date = {} if AIRFLOW_2 else {"logical_date": None}
        api.post(f"dags/{dag_id}/dagRuns", {"dag_run_id": run_id, "conf": conf, **date})
        return cls(api, dag_id, run_id)

    @property
    def path(self) -> str:
        """Where the API has it."""
        return f"dags/{self.dag_id}/dagRuns/{self.run_id}"

    def page(self, task_id: str = "", tab: str = "") -> str:
        """Where the UI shows it, or one of its tasks, or a tab of that."""
        if AIRFLOW_2:
            return f"dags/{self.dag_id}/grid?dag_run_id={self.run_id}&task_id={task_id}&tab={tab or 'logs'}"
        return "/".join(filter(None, (f"dags/{self.dag_id}/runs/{self.run_id}", task_id and f"tasks/{task_id}", tab)))

    def state(self) -> str:
        """Return the state of the run."""
        return str(self.api.get(self.path)["state"])

    def states(self) -> dict[str, str | None]:
        """Return the state of each task, by its id."""
        found = self.api.get(f"{self.path}/taskInstances")["task_instances"]
        return {instance["task_id"]: instance["state"] for instance in found}

    def xcoms(self, task_id: str) -> dict[str, XCom]:
        """Return what a task has pushed so far, by key."""
        entries = f"{self.path}/taskInstances/{task_id}/xcomEntries"
        keys = [entry["key"] for entry in self.api.get(entries)["xcom_entries"]]
        found = {key: self.api.get(f"{entries}/{quote(key, safe='')}", stringify=False) for key in keys}
        return {key: XCom(xcom["value"], datetime.fromisoformat(xcom["timestamp"])) for key, xcom in found.items()}

    def error(self, task_id: str) -> str:
        """Return what the log of a task that failed says about it last."""
        instance = f"{self.path}/taskInstances/{task_id}"
        try:
            log = self.api.text(f"{instance}/logs/{self.api.get(instance)['try_number']}")
        except DemoError as error:
            return f"its log cannot be read: {error}"
        said = _errors_in_text(log) if AIRFLOW_2 else _errors_in_json(log)
        return said[-1] if said else "its log says nothing about it."


def _errors_in_text(log: str) -> list[str]:
    return re.findall(r"^[\w.]+(?:Error|Exception): (.+)", log, re.MULTILINE)


def _errors_in_json(log: str) -> list[str]:
    lines = [line for line in json.loads(log)["content"] if isinstance(line, dict) and line.get("level") == "error"]
    # The details begin with the exception that ended the task and go on with its causes.
    return [details[0]["exc_value"] if (details := line.get("error_detail")) else line["event"] for line in lines]
