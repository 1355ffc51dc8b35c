"""What may come from outside: JSON that is odd, documents that are nearly right, bytes, headers."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

ID = "2c7f59ea-13f1-402c-9353-915a2b5a2124"
LINK = "https://files.segmind.com/generations/a.mp4"

#: Any text, halves of characters and control characters included, and texts that have broken something once.
ODD_TEXTS = [
    "",
    "None",
    "\ud800",
    "\x00",
    "a\nb",
    "\x1b[31m",
    "http://[::1",
    "https://e.com/a b.mp4",
    "javascript:alert(1)",
    "data:image/png;base64,AAAA",
    "../../etc/passwd",
    "{{ conn.x.password }}",
    "{'a': 1j}",
    "{'a': b'x'}",
    '{"a": ' + "[" * 300 + "]" * 300 + "}",
    "&#" + "1" * 5000 + ";",
    "1" * 5000,
    "1e999",
    "-1000",
    "nan",
    "std",
    "5",
    "@Image1",
    "@image" + "9" * 5000,
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59Z",
    "2026-11-21T10:00:00",
    "FAILED",
    "completed",
    ID,
    ID.replace("-", ""),
    LINK,
]
any_text = st.one_of(st.sampled_from(ODD_TEXTS), st.text(st.characters(codec=None, categories=None), max_size=20))
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, -1000, 5, 1e308, -1e308, 2**63, 2**64, 10**400, 253402300800, 1795255200, 0.1]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, any_text)


def json_values(names: st.SearchStrategy[str] = any_text, leaves: int = 6) -> st.SearchStrategy[Any]:
    """Return plain JSON as Python reads it, NaN and numbers of any length included."""
    return st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
        max_leaves=leaves,
    )


values = json_values()


@st.composite
def nearly(draw: Any, *documents: Any, odd: st.SearchStrategy[Any] = values) -> Any:
    """Return a document in which a few things are otherwise: left out, added, replaced, repeated."""
    document = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(0, 4))):
        document = _changed(draw, document, odd)
    return document


def _changed(draw: Any, node: Any, odd: st.SearchStrategy[Any]) -> Any:
    stops = draw(st.integers(0, 2)) == 0
    if isinstance(node, dict) and node and not stops:
        name = draw(st.sampled_from(sorted(node, key=repr)))
        if draw(st.integers(0, 4)) == 0:
            return {key: value for key, value in node.items() if key != name}
        if draw(st.integers(0, 4)) == 0:
            return {**node, draw(any_text): draw(odd)}
        return {**node, name: _changed(draw, node[name], odd)}
    if isinstance(node, list) and node and not stops:
        place = draw(st.integers(0, len(node) - 1))
        if draw(st.integers(0, 4)) == 0:
            return [*node, *node]
        return [*node[:place], _changed(draw, node[place], odd), *node[place + 1 :]]
    return draw(odd)


def encoded(document: Any) -> bytes:
    """Write a document as a service might: whatever is in it."""
    try:
        return json.dumps(document).encode()
    except ValueError:  # a number that is too long for Python to write
        return b'{"status": ' + b"1" * 5000 + b"}"


@st.composite
def bodies(draw: Any, *documents: Any) -> bytes:
    """Return an answer's body: nearly right, cut, with some bytes changed, or anything."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=60))
    body = encoded(draw(nearly(*documents)))
    if kind == 1:
        return body[: draw(st.integers(0, len(body)))]
    if kind == 2 and body:
        place = draw(st.integers(0, len(body) - 1))
        return body[:place] + draw(st.binary(min_size=1, max_size=3)) + body[place + 1 :]
    return body


statuses = st.one_of(
    st.sampled_from([200, 200, 200, 200, 201, 202, 204, 301, 302, 400, 401, 402, 403, 404, 406, 408, 410, 422, 429]),
    st.sampled_from([500, 502, 503, 504]),
    st.integers(100, 999),
)
TIMES = [
    "2026-11-21T10:00:00Z",
    "1795255200",
    "1795255200000",
    "Sat, 21 Nov 2026 10:00:00 GMT",
    "Mon, 99999999999999 Nov 2026 00:00:00 GMT",
    "Mon, 01 Nov 2026 00:00:00 +99999999999999",
    "04:",
    "2099-01-01",
    "P1Y",
    "2026-W01",
    "nan",
    "-1e9",
]
header_values = st.one_of(any_text, st.sampled_from(TIMES), st.sampled_from(["application/json", "video/mp4", "-5"]))
headers = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type",
            "content-type",
            "x-rate-limit-reset-at-utc",
            "Location",
            "Date",
            "x-request-id",
            "x-cost",
            "x-remaining-credits",
            "x-generation-time",
            "x-seed-value",
            "Content-Encoding",
        ]
    ),
    header_values,
    max_size=4,
)
