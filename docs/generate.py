"""Writes `docs/models.md` from the payload classes, so that the two cannot tell different things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_kling.cli.commands import allowed, price
from airflow_provider_kling.payloads import get_payload_class, known_slugs
from airflow_provider_kling.payloads.table import parameters, parts, prompt_or_shots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kling.payloads.base import KlingPayload
    from airflow_provider_kling.payloads.table import Parameter
    from airflow_provider_kling.payloads.templated_model import TemplatedModel

FAMILIES = {
    "o1": "Kling O1",
    "o3": "Kling O3",
    "v3": "Kling 3.0",
    "v2": "Kling 2.x",
    "v1": "Kling 1.x",
    "avatar": "Avatars",
    "effects": "Effects",
    "voice": "Voices",
}

INTRODUCTION = """\
# Models

<!-- Written by `make docs` from the payload classes; change those. -->

Every Kling model in Segmind's catalogue of 2026-08-19, with the class that checks its payload. Latency and, where
no price is published, cost are that catalogue's averages; a price range is from the model's page. The last column
tells where a parameter was read, which is how sure it is. Where a page was not seen whole, parameters that are not
listed are sent unchecked, with a warning; elsewhere they are refused.

Values are given as they are sent. A duration is taken as number or text, whichever it is sent as.
`python -m airflow_provider_kling models show SLUG` prints the same for one model.
"""


def page() -> str:
    """Return the whole page."""
    classes = [found for slug in known_slugs() if (found := get_payload_class(slug))]
    lines = [INTRODUCTION, *_overview(classes)]
    shown: dict[type[TemplatedModel], None] = {}
    family = ""
    for payload_class in classes:
        module = payload_class.__module__.rpartition(".")[2]
        if module != family:
            family = module
            lines += ["", f"## {FAMILIES[family]}"]
        lines += _model(payload_class)
        shown.update(dict.fromkeys(parts(payload_class)))
    lines += ["", "## Parts"]
    for part in shown:
        first_line = next(line.strip() for line in (part.__doc__ or "").splitlines() if line.strip())
        lines += ["", f"### `{part.__name__}`", "", first_line, "", *_table(parameters(part))]
    return "\n".join(lines) + "\n"


def _overview(classes: Sequence[type[KlingPayload]]) -> list[str]:
    lines = ["| class | model | makes | usually | price |", "|---|---|---|---|---|"]
    lines += [
        f"| [`{found.__name__}`](#{found.__name__.lower()}) | `{found.slug}` | {found.output} "
        f"| {found.usual_latency:.0f} s | {price(found)} |"
        for found in classes
    ]
    return lines


def _model(payload_class: type[KlingPayload]) -> list[str]:
    source = f"https://www.segmind.com/models/{payload_class.slug}/api"
    description = " ".join((payload_class.__doc__ or "").split())
    known = "All its parameters are known." if payload_class.is_complete else "Its page was not seen whole."
    lines = ["", f"### `{payload_class.__name__}`", "", f"[{payload_class.title}]({source}), `{payload_class.slug}`."]
    lines += [f"{description} {known}", ""]
    lines += _table(parameters(payload_class)) if payload_class.model_fields else ["None of its parameters is known."]
    if prompt_or_shots(payload_class):
        lines += ["", "`prompt` is needed, or `multi_prompt` in its place."]
    return lines


def _table(rows: Sequence[Parameter]) -> list[str]:
    lines = ["| parameter | | takes | default | what it is | read on |", "|---|---|---|---|---|---|"]
    for row in rows:
        default = "" if row.default is None else f"`{row.default!r}`"
        required = "required" if row.required else ""
        cells = (f"`{row.name}`", required, allowed(row), default, row.description, str(row.seen))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    print(page(), end="")
