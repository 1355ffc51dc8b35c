"""The two checks of an operator's payload: at parsing for what is known, after rendering for all of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_kling.payloads import get_payload_class
from airflow_provider_kling.payloads.base import KlingPayload
from airflow_provider_kling.payloads.templated_model import refuse_left_over, refuse_unsendable
from airflow_provider_kling.payloads.templates import as_plain, is_template
from airflow_provider_kling.segmind.errors import KlingPayloadError, SegmindInputError
from airflow_provider_kling.segmind.identifiers import checked_slug


@dataclass(frozen=True, slots=True)
class Request:
    """What will be sent: the slug, the parameters, and the payload that was made of them where there is a class."""

    model: str
    parameters: dict[str, Any]
    payload: KlingPayload | None


def check_unrendered(payload: Any, model: Any) -> tuple[Any, Any]:
    """
    Check what is known while the DAG file is parsed.

    :param payload: an instance of a payload class, a dict, or a template of one.
    :param model: the slug; taken from the payload where it is an instance.
    :return: the payload as a dict or template, and the model, both fit for ``template_fields``.
    :raises SegmindInputError: naming the field and what to change.
    """
    if isinstance(payload, KlingPayload):
        if model is not None and model != payload.slug:
            raise SegmindInputError(
                f"model: {model!r} is not the model of {type(payload).__name__}, which is {payload.slug!r}; "
                "leave model out."
            )
        return payload.to_request(), payload.slug
    if model is None:
        raise SegmindInputError("model: is needed with a payload that is not a payload class, such as 'kling-o1'.")
    if is_template(model):
        return payload, model
    slug = checked_slug(model)
    if is_template(payload):
        return payload, slug
    parameters = _as_parameters(payload)
    payload_class = get_payload_class(slug)
    if payload_class is None:
        refuse_unsendable("payload", parameters)
        return parameters, slug
    return payload_class(**parameters).to_request(), slug


def check_rendered(payload: Any, model: Any) -> Request:
    """
    Check everything, after rendering and before anything is sent.

    :raises SegmindInputError: naming the field and what to change.
    """
    slug = checked_slug(model)
    parameters = _as_parameters(payload)
    payload_class = get_payload_class(slug)
    if payload_class:
        checked = payload_class.from_rendered(parameters)
        return Request(slug, checked.to_request(), checked)
    refuse_unsendable("payload", parameters)
    for name, value in parameters.items():
        try:
            refuse_left_over(value)
        except ValueError as exc:
            raise KlingPayloadError(f"payload: {name} {exc}.", fields=[name]) from None
    return Request(slug, parameters, None)


def _as_parameters(payload: Any) -> dict[str, Any]:
    """Return the payload as a dict; JSON text is what a template of a whole payload renders to."""
    try:
        parameters = as_plain(payload)
        if isinstance(parameters, str):
            parameters = json.loads(parameters)
    except ValueError:
        parameters = payload
    except RecursionError:
        raise KlingPayloadError("payload: is nested too deep; make it flatter.", fields=["payload"]) from None
    if not isinstance(parameters, dict) or not all(isinstance(name, str) for name in parameters):
        raise KlingPayloadError(
            f"payload: must be a dict of the model's parameters or a payload class, not {_kind(parameters)}.",
            fields=["payload"],
        )
    if not parameters:
        raise KlingPayloadError("payload: is empty; give at least the model's required parameters.", fields=["payload"])
    return parameters


def _kind(value: Any) -> str:
    if value is None or value == "None":
        return "None; the task upstream returned nothing"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return f"a {type(value).__name__}"
