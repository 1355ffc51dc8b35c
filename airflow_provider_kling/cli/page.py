"""
The documentation's page of all models, written from the payload classes.

``make docs`` calls it: ``python -m airflow_provider_kling.cli.page docs/models.md``.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_kling.cli import words
from airflow_provider_kling.payloads import get_payload_class, known_slugs, table
from airflow_provider_kling.payloads.fields import Seen

if TYPE_CHECKING:
    from airflow_provider_kling.payloads.base import KlingPayload
    from airflow_provider_kling.payloads.checked import Checked

_HEAD = f"""\
# Kling models

<!-- Written by `make docs` from the payload classes. Change those, not this page. -->

The {len(known_slugs())} Kling models on Segmind, as of {words.AS_OF}. `python -m airflow_provider_kling models show SLUG`
tells the same, and `models diff` compares it with what Segmind lists today.

Times and prices are what Segmind's catalogue gives as averages; a price range is what a model's page states. Nothing
here is promised by Segmind.

How sure a parameter is, is where it was read. A model names where its parameters were read, and a parameter names it
where it differs:

{{legend}}

Of a model whose parameters are known in part, others are passed on unchecked with a warning; where all are known,
others are refused before anything is paid.
"""

_HOW_SURE = {
    Seen.PAGE: "sure",
    Seen.PAGE_IN_PART: "sure of what the page showed, likely of the rest",
    Seen.EXAMPLE: "sure of the name, not of its limits",
    Seen.OLDER_PAGE: "likely; it may have changed since",
    Seen.LANDING_PAGE: "likely; it is mentioned, not specified",
    Seen.SIBLING: "a guess: as for a model of the same family",
    Seen.CLIENT: "a guess: someone's code sends it",
}


def page() -> str:
    """Return the page as Markdown."""
    families: dict[str, list[type[KlingPayload]]] = {}
    for slug in known_slugs():
        payload_class = get_payload_class(slug)
        if payload_class is not None:
            families.setdefault(payload_class.__module__, []).append(payload_class)
    legend = "\n".join(f"* {seen}: {sure}" for seen, sure in _HOW_SURE.items())
    blocks = [_HEAD.format(legend=legend), _overview(families)]
    parts: dict[type[Checked], None] = {}
    for module, payload_classes in families.items():
        title, _, subtitle = _family(module)
        blocks.append(f"## {title}\n\n{subtitle.strip().capitalize()}\n")
        for payload_class in payload_classes:
            blocks.append(_model(payload_class))
            parts.update(dict.fromkeys(table.parts(payload_class)))
    blocks.append("## Parts\n\nWhat the lists of some parameters hold; a dict with the same keys does as well.\n")
    blocks += [f"### {part.__name__}\n\n{words.description(part)}\n\n{_parameters(part, None)}\n" for part in parts]
    return "\n".join(blocks)


def _family(module: str) -> tuple[str, str, str]:
    documentation = inspect.cleandoc(sys.modules[module].__doc__ or "").split("\n\n")[0]
    line = " ".join(documentation.split())
    title, sign, rest = re.split("([:,])", line, maxsplit=1)
    return title.rstrip("."), sign, rest


def _overview(families: dict[str, list[type[KlingPayload]]]) -> str:
    lines = ["| model | class | makes | usual time | price |", "|---|---|---|---|---|"]
    for payload_classes in families.values():
        for each in payload_classes:
            link = f"[`{each.slug}`](#{_anchor(each.slug)})"
            lines.append(
                f"| {link} | `{each.__name__}` | {each.output} | {each.usual_latency:.0f} s | {words.short_price(each)} |"
            )
    return "\n".join(lines) + "\n\n~ is an average; no range is published for that model.\n"


def _anchor(heading: str) -> str:
    """Return the address that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _model(payload_class: type[KlingPayload]) -> str:
    text = words.description(payload_class).replace("\n", "\n\n")
    rows = _parameters(payload_class, payload_class.seen)
    shots = "One of `prompt` and `multi_prompt` must be given." if table.prompt_or_shots(payload_class) else ""
    facts = [
        f"* Class: `airflow_provider_kling.payloads.{payload_class.__name__}`",
        f"* Makes: {payload_class.output}, usually within {payload_class.usual_latency:.0f} s",
        f"* Price: {words.long_price(payload_class)}",
        f"* Parameters: {words.completeness(payload_class)}",
        f"* Read on: {payload_class.seen}, [{payload_class.title}]({words.page_url(payload_class)})",
    ]
    blocks = [f"### `{payload_class.slug}`", text, "\n".join(facts), rows, shots]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _parameters(described: type[Checked], seen: Seen | None) -> str:
    rows = table.parameters(described, seen or Seen.PAGE)
    if not rows:
        return ""
    lines = ["| parameter | takes | default | what it is for |", "|---|---|---|---|"]
    for row in rows:
        default = "**required**" if row.required else "" if row.default is None else f"`{json.dumps(row.default)}`"
        origin = "" if seen is None or row.seen is seen else f" *From {row.seen}.*"
        lines.append(f"| `{row.name}` | {_cell(words.takes(row))} | {_cell(default)} | {row.description}{origin} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
