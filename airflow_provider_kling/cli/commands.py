"""What the commands do. Each returns its exit code: 0, 1 for an answer that is no, 2 for an error."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from airflow_provider_kling.cli.comparison import compare
from airflow_provider_kling.payloads import get_payload_class, known_slugs
from airflow_provider_kling.payloads.estimate import Estimate
from airflow_provider_kling.payloads.request import check_rendered
from airflow_provider_kling.payloads.table import parameters, parts, prompt_or_shots
from airflow_provider_kling.payloads.templated_model import nearest
from airflow_provider_kling.segmind.errors import SegmindError
from airflow_provider_kling.segmind.money import dollars

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_provider_kling.payloads.base import KlingPayload
    from airflow_provider_kling.payloads.fields import Seen
    from airflow_provider_kling.payloads.table import Parameter

#: Columns where the output goes to no terminal.
PIPE_WIDTH = 160


def list_models(_: argparse.Namespace) -> int:
    """Print every model that has a class."""
    rows = []
    for slug in known_slugs():
        payload_class = _class(slug)
        rows.append(
            (
                slug,
                payload_class.__name__,
                payload_class.output,
                f"{payload_class.usual_latency:.0f} s",
                price(payload_class) if payload_class.price_range else f"~{dollars(payload_class.usual_cost)}",
            )
        )
    # A line is a model whatever the terminal's width, so that grep and cut can be used on it.
    print_table(("model", "class", "makes", "usually", "price"), rows, kept=(0, 1, 2, 3, 4), least_width=PIPE_WIDTH)
    return 0


def show_model(args: argparse.Namespace) -> int:
    """Print all that is known of a model."""
    if get_payload_class(args.slug) is None:
        return complain(_unknown(args.slug))
    payload_class = _class(args.slug)
    first_line = next(line.strip() for line in (payload_class.__doc__ or "").splitlines() if line.strip())
    known = "complete" if payload_class.is_complete else "not seen whole: others are sent unchecked, with a warning"
    print(f"{payload_class.title}  ({payload_class.slug})")
    print(f"{first_line}\n")
    facts = (
        ("makes", payload_class.output),
        ("usually", f"{payload_class.usual_latency:.0f} s"),
        ("price", price(payload_class)),
        ("parameters", known),
        ("read on", str(payload_class.seen)),
        ("page", f"https://www.segmind.com/models/{payload_class.slug}/api"),
    )
    for name, fact in facts:
        print(f"  {name:<11} {fact}")
    print()
    if payload_class.model_fields:
        _print_parameters(parameters(payload_class), payload_class.seen)
    if prompt_or_shots(payload_class):
        print("\nprompt is needed, or multi_prompt in its place.")
    for part in parts(payload_class):
        print(f"\nEach {part.__name__}:")
        _print_parameters(parameters(part, payload_class.seen), payload_class.seen)
    print(f"\n{example(payload_class)}")
    return 0


def validate_payload(args: argparse.Namespace) -> int:
    """Check a payload from a file as the operator would before it is sent."""
    try:
        text = sys.stdin.read() if args.payload == "-" else Path(args.payload).read_text("utf-8")
        payload = json.loads(text)
    except (OSError, ValueError) as exc:
        return complain(f"{args.payload}: no JSON can be read from it ({exc})", code=2)
    try:
        request = check_rendered(payload, args.slug)
    except SegmindError as error:
        return complain(str(error))
    if request.payload is None:
        return complain(f"{_unknown(args.slug)} Its parameters cannot be checked; they would be sent as they are.")
    if warning := request.payload.unknown_parameters():
        print(f"warning: {warning}", file=sys.stderr)
    print(f"valid. Price: {request.payload.estimate()}")
    return 0


def diff_models(args: argparse.Namespace) -> int:
    """Compare the classes with what Segmind lists now."""
    from airflow_provider_kling.hooks.segmind import SegmindHook

    try:
        listed = SegmindHook(args.conn_id).list_models()
    except SegmindError as error:
        return complain(str(error), code=2)
    differences = compare(listed)
    for line in differences or ["The classes and the live list agree."]:
        print(line)
    return 1 if differences else 0


def price(payload_class: type[KlingPayload]) -> str:
    """Return what a job of the model costs, in words."""
    low, high = payload_class.price_range or (None, None)
    return str(Estimate(low, high, payload_class.usual_cost))


def allowed(parameter: Parameter) -> str:
    """Return the values that a parameter takes, in words."""
    if not parameter.allowed:
        return ", ".join(filter(None, (parameter.kind, parameter.limits)))
    values = list(parameter.allowed)
    many = 8
    if len(values) > many:
        return f"{values[0]!r} to {values[-1]!r}"
    return ", ".join(repr(value) for value in values)


def example(payload_class: type[KlingPayload]) -> str:
    """Return a payload to copy, with what the model requires."""
    rows = [row for row in parameters(payload_class) if row.required or (row.name == "prompt")]
    values = {"text": '"…"', "URL": '"https://…"', "list of URL": '["https://…"]'}
    given = ", ".join(f"{row.name}={values.get(row.kind, '…')}" for row in rows)
    name = payload_class.__name__
    return f"from airflow_provider_kling.payloads import {name}\n\n{name}({given})"


def _print_parameters(rows: Sequence[Parameter], seen: Seen) -> None:
    """Print a table of parameters; where each was read stands in it only where it is not ``seen`` for all."""
    cells = [
        [
            row.name,
            "required" if row.required else "",
            allowed(row),
            "" if row.default is None else repr(row.default),
            row.description,
            str(row.seen),
        ]
        for row in rows
    ]
    header = ["parameter", "", "takes", "default", "what it is", "read on"]
    if all(row.seen is seen for row in rows):
        header, cells = header[:-1], [line[:-1] for line in cells]
    print_table(header, cells, kept=(0, 1))


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], kept: Sequence[int], least_width: int = 0
) -> None:
    """Print columns; those in ``kept`` are not wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, no_wrap=index in kept, overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = shutil.get_terminal_size(fallback=(PIPE_WIDTH, 24)).columns
    Console(width=max(width, least_width), highlight=False, markup=False, emoji=False).print(table)


def _class(slug: str) -> type[KlingPayload]:
    payload_class = get_payload_class(slug)
    if payload_class is None:
        raise LookupError(slug)
    return payload_class


def _unknown(slug: str) -> str:
    meant = nearest(slug, list(known_slugs()))
    return f"{slug!r} has no payload class" + (f"; did you mean {meant!r}?" if meant else ".")


def complain(line: Any, code: int = 1) -> int:
    """Say what is wrong; return the exit code."""
    print(line, file=sys.stderr)
    return code
