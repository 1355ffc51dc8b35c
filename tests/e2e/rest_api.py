"""Airflow's public REST API as far as these tests ask it: the same questions to Airflow 2 and 3."""

from __future__ import annotations

import ast
import json
from typing import Any

import requests

from tests.conftest import AIRFLOW_3

TIMEOUT = 60


class RestApi:
    """
    The REST API of a running Airflow, asked as an administrator.

    :param url: the server's address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._root = f"{url}/api/{'v2' if AIRFLOW_3 else 'v1'}"

    def ask(self, method: str, path: str, body: Any = None, params: dict[str, Any] | None = None) -> requests.Response:
        """Send a request; the token of Airflow 3 is fetched when it is needed."""
        answer = self._send(method, path, body, params)
        if answer.status_code == requests.codes.unauthorized and AIRFLOW_3:
            token = requests.get(f"{self.url}/auth/token", timeout=TIMEOUT)
            token.raise_for_status()
            self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
            answer = self._send(method, path, body, params)
        return answer

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON at a path."""
        return self._checked(self.ask("GET", path, params=params))

    def post(self, path: str, body: Any) -> Any:
        """Post JSON, and return the answer's."""
        return self._checked(self.ask("POST", path, body))

    def patch(self, path: str, body: Any) -> Any:
        """Patch with JSON, and return the answer's."""
        return self._checked(self.ask("PATCH", path, body))

    def healthy(self) -> bool:
        """Whether every component says that it is well."""
        try:
            health = self.ask("GET", "monitor/health" if AIRFLOW_3 else "health").json()
        except (requests.RequestException, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "triggerer", *(["dag_processor"] if AIRFLOW_3 else []))
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
        """Return an XCom; None where there is none."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        params = {"map_index": map_index, **({"stringify": False} if AIRFLOW_3 else {})}
        answer = self.ask("GET", path, params=params)
        if answer.status_code == requests.codes.not_found:
            return None
        value = self._checked(answer)["value"]
        if AIRFLOW_3:
            return value
        try:  # Airflow 2 shows a value as Python prints it
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value

    def _send(self, method: str, path: str, body: Any, params: dict[str, Any] | None) -> requests.Response:
        return self._session.request(
            method, f"{self._root}/{path}", json=body, params=json.loads(json.dumps(params or {})), timeout=TIMEOUT
        )

    @staticmethod
    def _checked(answer: requests.Response) -> Any:
        assert answer.ok, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:2000]}"
        return answer.json() if answer.content else None
