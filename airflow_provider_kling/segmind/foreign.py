"""
Text that comes from outside, fit for whatever it is handed on to: it holds no secret, and can be written everywhere.

Half an emoji, which a text has that was cut in its middle, cannot be written as UTF-8: neither into a log nor into an
event of the triggerer. Databases take no NUL, and terminals obey control characters.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from airflow_provider_kling.segmind.hiding import hide, hide_bytes

#: Surrogates, and control characters but tab and line breaks.
_UNFIT = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
#: Where a JSON text may hold one of them, or a secret that cannot be seen yet: as an escape, or as it is.
_MAY_BE_UNFIT = re.compile(rb"\\u(?:[dD][89a-fA-F]|00)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]")


def fit_text(text: str) -> str:
    """Return a text without secrets, with the replacement character wherever it cannot be handed on."""
    return _UNFIT.sub("\ufffd", hide(text))


def fit_value(value: Any) -> Any:
    """Return plain JSON with all its texts fit, names included."""
    match value:
        case str():
            return fit_text(value)
        case list() | tuple():
            return [fit_value(inner) for inner in value]
        case dict():
            return {fit_text(str(name)): fit_value(inner) for name, inner in value.items()}
        case _:
            return value


def fit_body(body: bytes) -> bytes:
    """Return an answer's body whose JSON, where it is JSON, holds fit texts only; all else holds no secret at least."""
    if body.lstrip().startswith((b"{", b"[")):
        text = body.decode(errors="replace")
        if not _MAY_BE_UNFIT.search(body) and "\ufffd" not in text and hide(text) == text:
            return body
        # Read before anything is replaced in it: a key that begins with a t is not what follows the \ of a tab.
        with suppress(ValueError, RecursionError):
            return json.dumps(fit_value(json.loads(text)), ensure_ascii=False).encode()
    return hide_bytes(body)
