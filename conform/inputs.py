"""What became of a job's inputs on their way into the history. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.segmind.history import HistoryRow
from airflow_provider_kling.submission.history_match import Sent, Window, matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Characters of a value that a report shows.
SHOWN = 40


def differences(sent: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Yield what came back otherwise than it was sent, and whether the provider's match takes it as the same."""
    for name in sorted(sent.keys() | told.keys()):
        there = {name: told[name]} if name in told else {}
        here = {name: sent[name]} if name in sent else {}
        if not _identical(there, here):
            yield _agree(there, here), f"{name} {_change(there, here, name)}"


def _agree(told: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    now = datetime.now(tz=UTC)
    row = HistoryRow.model_validate(
        {"request_id": "any", "model_name": "any", "model_created": now, "request_body": dict(told)}
    )
    return bool(matches(Sent("any", sent, [Window(now, now)]), [row]).certain)


def _identical(there: Any, here: Any) -> bool:
    """Whether two values are the same, kinds of numbers included."""
    return bool(there == here) and json.dumps(there, sort_keys=True) == json.dumps(here, sort_keys=True)


def _change(there: Mapping[str, Any], here: Mapping[str, Any], name: str) -> str:
    """Say what became of a parameter."""
    if not there:
        return "was dropped"
    if not here:
        return f"was added: {excerpt(there[name])}"
    told, sent = there[name], here[name]
    if isinstance(told, str) and isinstance(sent, str):
        if told == sent.strip():
            return "came without the spaces at its ends"
        if told and sent.startswith(told):
            return f"was cut to {len(told)} of {len(sent)} characters"
    elif isinstance(told, str):
        return f"came as the text {excerpt(told)}"
    return f"came as {excerpt(told)}, sent as {excerpt(sent)}"


def form(body: Any) -> str:
    """Say how a row writes its inputs."""
    if not isinstance(body, str):
        return "an object" if isinstance(body, dict) else type(body).__name__
    try:
        json.loads(body)
    except ValueError:
        return "a Python literal in a text"
    return "JSON in a text"


def excerpt(value: Any) -> str:
    """Return a value as one short line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")
