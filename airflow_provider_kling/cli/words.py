"""What a payload class says of its model, in the words that the command line and the documentation share."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.payloads import table

if TYPE_CHECKING:
    from airflow_provider_kling.payloads.base import KlingPayload
    from airflow_provider_kling.payloads.checked import Checked
    from airflow_provider_kling.payloads.table import Parameter

#: The day on which the pages and the catalogue were read.
AS_OF = "2026-08-19"


def page_url(payload_class: type[KlingPayload]) -> str:
    """Return the address of the model's own page."""
    return f"https://www.segmind.com/models/{payload_class.slug}/api"


def description(documented: type[Checked]) -> str:
    """Return what a class says of itself, one line for each paragraph."""
    paragraphs = inspect.cleandoc(documented.__doc__ or "").split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).replace("``", "")


def short_price(payload_class: type[KlingPayload]) -> str:
    """Return the price as a table bears it: the page's range, else the average with a tilde."""
    if payload_class.price_range is None:
        return f"~${payload_class.usual_cost:.3g}"
    low, high = payload_class.price_range
    return f"${low:.3g}" if low == high else f"${low:.3g}-{high:.3g}"


def long_price(payload_class: type[KlingPayload]) -> str:
    """Return the price in a sentence."""
    average = f"${payload_class.usual_cost:.3g} on average"
    if payload_class.price_range is None:
        return f"{average}; no range is published"
    low, high = payload_class.price_range
    return f"${low:.3g}" if low == high else f"${low:.3g} to ${high:.3g}, {average}"


def completeness(payload_class: type[KlingPayload]) -> str:
    """Return whether all parameters are known, and what happens to the others."""
    if payload_class.is_complete:
        return "all known; others are refused"
    return "known in part; others are sent unchecked, with a warning"


def takes(parameter: Parameter) -> str:
    """Return what a parameter holds: its only values, else its kind and its bounds."""
    if not parameter.allowed:
        return parameter.kind + (f", {parameter.limits}" if parameter.limits else "")
    values = [json.dumps(value) for value in parameter.allowed]
    unit = " seconds" if parameter.kind == "seconds" else ""
    few = 5
    if unit and len(values) > few:
        return f"{values[0]} to {values[-1]}{unit}"
    return ("only " if len(values) == 1 else "") + ", ".join(values) + unit


def example(payload_class: type[KlingPayload]) -> str:
    """Return a task that can be copied into a DAG, with the parameters that must be given."""
    rows = table.parameters(payload_class)
    wanted = [row for row in rows if row.required]
    if table.prompt_or_shots(payload_class):
        wanted += [row for row in rows if row.name == "prompt"]
    given = [f"        {row.name}={json.dumps(_sample(row))}," for row in wanted]
    name = payload_class.__name__
    return "\n".join(
        [
            "from airflow_provider_kling.operators.kling import KlingSubmitOperator",
            f"from airflow_provider_kling.payloads import {name}",
            "",
            "submit = KlingSubmitOperator(",
            '    task_id="submit",',
            f"    payload={name}(",
            *(given or ["        # no parameter is known: see the model's page"]),
            "    ),",
            ")",
        ]
    )


def _sample(parameter: Parameter) -> Any:
    if parameter.allowed:
        return parameter.allowed[0]
    sound, video = ("audio", "sound", "voice"), ("video",)
    ending = "png"
    if any(word in parameter.name for word in video):
        ending = "mp4"
    elif any(word in parameter.name for word in sound):
        ending = "mp3"
    url = f"https://example.com/{parameter.name.removesuffix('s').removesuffix('_url')}.{ending}"
    return {
        "text": "A fox runs through fresh snow",
        "URL": url,
        "list of URL": [url],
        "list of Element": [{"frontal_image_url": "https://example.com/front.png"}],
        "seconds": 5,
        "true or false": True,
        "number": 1,
        "whole number": 1,
    }[parameter.kind]
