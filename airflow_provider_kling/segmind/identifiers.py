"""The names that are part of an address: a model's slug, a request id."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any

from airflow_provider_kling.segmind.errors import SegmindInputError

_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


def is_request_id(text: str) -> bool:
    """Whether a text can be the id of a request: a path in it would call another address."""
    return _REQUEST_ID.fullmatch(text) is not None


def is_slug(text: Any) -> bool:
    """Whether it can be the slug of a model."""
    return isinstance(text, str) and _SLUG.fullmatch(text) is not None and ".." not in text


def checked_slug(model: Any) -> str:
    """Return the slug, or say what a slug looks like: a path or a space in it would call another address."""
    if not is_slug(model):
        raise SegmindInputError(
            f"model: {model!r} is not a model slug; use the last part of the model's page address, such as 'kling-o1'."
        )
    return str(model)


def checked_request_id(request_id: Any) -> str:
    """Return the request id, or say where it should have come from."""
    if isinstance(request_id, Sequence) and not isinstance(request_id, str):
        raise SegmindInputError(
            f"request_id: holds {len(request_id)} ids, one is waited for; map the sensor over them: "
            "KlingSensor.partial(task_id=…).expand(request_id=submit.output)."
        )
    if not isinstance(request_id, str) or request_id.strip() in {"", "None"}:
        raise SegmindInputError(
            f"request_id: {request_id!r} is no request id; the submit task upstream pushed none. Pass its output "
            "(request_id=submit.output) and check that it ran."
        )
    if not is_request_id(request_id.strip()):
        raise SegmindInputError(
            f"request_id: {request_id!r} is not a request id; it has letters, digits and dashes only, such as "
            "'2c7f59ea-13f1-402c-9353-915a2b5a2124'."
        )
    return request_id.strip()


def canonical_id(request_id: str) -> str:
    """Return an id as the API writes it: the history may leave out a UUID's dashes."""
    try:
        return str(uuid.UUID(request_id))
    except ValueError:
        return request_id


def id_forms(request_id: str) -> tuple[str, ...]:
    """Return an id in the two forms that it may have in the history, the given one first."""
    canonical = canonical_id(request_id)
    return tuple(dict.fromkeys((request_id, canonical, canonical.replace("-", ""))))
