"""
``models list``, ``show``, ``validate`` and ``diff``.

Each takes the parsed arguments and returns the exit code. Output is plain text in columns, so that it
can be read and piped alike; what went wrong is one line on stderr.
"""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.cli import words
from airflow_provider_kling.payloads import get_payload_class, known_slugs, table
from airflow_provider_kling.payloads.checking import check_rendered
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInputError

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_kling.cli.comparison import Comparison
    from airflow_provider_kling.payloads.base import KlingPayload
    from airflow_provider_kling.payloads.table import Parameter

#: The widest line of running text, and the width where there is no terminal.
WIDEST, WIDTH_IN_A_PIPE = 120, 100


def list_models(_: Namespace) -> int:
    """Print a table of all models."""
    rows = [("MODEL", "CLASS", "MAKES", "SEC", "PRICE")]
    for payload_class in _classes():
        seconds = f"{payload_class.usual_latency:.0f}"
        price = words.short_price(payload_class)
        rows.append((payload_class.slug, payload_class.__name__, payload_class.output, seconds, price))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for model, name, makes, seconds, price in rows:
        print(
            f"{model:{widths[0]}}  {name:{widths[1]}}  {makes:{widths[2]}}  {seconds:>{widths[3]}}  {price}".rstrip()
        )
    return 0


def show_model(args: Namespace) -> int:
    """Print what one model takes and costs."""
    payload_class = get_payload_class(args.slug)
    if payload_class is None:
        return _fail(_no_class(args.slug))
    print(payload_class.title)
    for paragraph in words.description(payload_class).splitlines():
        _print_text(paragraph)
    print()
    for name, value in (
        ("model", payload_class.slug),
        ("class", f"airflow_provider_kling.payloads.{payload_class.__name__}"),
        ("makes", f"{payload_class.output}, usually within {payload_class.usual_latency:.0f} s"),
        ("price", words.long_price(payload_class)),
        ("parameters", words.completeness(payload_class)),
        ("source", f"{words.page_url(payload_class)} as of {words.AS_OF}"),
    ):
        print(f"{name:10}  {value}")
    rows = table.parameters(payload_class)
    if rows:
        print("\nParameters (* must be given)")
        _print_parameters(rows, payload_class)
    if table.prompt_or_shots(payload_class):
        print("\n  One of prompt and multi_prompt must be given.")
    for part in table.parts(payload_class):
        print(f"\n{part.__name__} (* must be given): {words.description(part).splitlines()[0]}")
        _print_parameters(table.parameters(part, payload_class.seen), payload_class)
    print("\nExample\n")
    print(textwrap.indent(words.example(payload_class), "  "))
    return 0


def validate_payload(args: Namespace) -> int:
    """Check a file with a payload as a task does before it submits. A model without a class cannot be checked."""
    try:
        text = sys.stdin.read() if args.payload == "-" else Path(args.payload).read_text("utf-8")
        payload = json.loads(text)
    except OSError as error:
        return _fail(f"{args.payload}: cannot be read ({error.strerror}).")
    except (ValueError, RecursionError) as error:
        return _fail(f"{args.payload}: is not JSON ({error}).")
    if get_payload_class(args.slug) is None:
        return _fail(f"Not checked: {_no_class(args.slug)}")
    try:
        checked = check_rendered(payload, args.slug).payload
    except SegmindInputError as error:
        return _fail(str(error))
    if checked is None:
        raise AssertionError("a slug with a class gives a payload")
    if warning := checked.unknown_parameters():
        print(f"Warning: {warning}", file=sys.stderr)
    print(f"Valid for {checked.label()}. Price: {checked.estimate()}. Usual time: {checked.usual_latency:.0f} s.")
    return 0


def diff_models(args: Namespace) -> int:
    """Compare Segmind's live list with the classes: 0 when they agree, 1 when they differ, 2 when it cannot be read."""
    # Airflow's hooks take a second to import, and the other commands do without.
    from airflow_provider_kling.cli.comparison import compare
    from airflow_provider_kling.hooks.segmind import SegmindHook

    try:
        comparison = compare(SegmindHook(args.conn_id).list_models())
    except SegmindError as error:
        print(error, file=sys.stderr)
        return 2
    _print_comparison(comparison)
    return 1 if comparison else 0


def _print_comparison(comparison: Comparison) -> None:
    for title, slugs in (
        ("On Segmind, without a class (a plain dict with model= works)", comparison.without_class),
        ("With a class, no longer listed by Segmind", comparison.not_listed),
        ("With a class, retired by Segmind", comparison.retired),
    ):
        if slugs:
            print(f"{title}:")
            print("\n".join(f"  {slug}" for slug in slugs))
    for title, models in (
        ("Parameters on Segmind that the class lacks", comparison.added),
        ("Parameters of the class that Segmind does not list", comparison.dropped),
    ):
        if models:
            print(f"{title}:")
            print("\n".join(f"  {slug}: {', '.join(names)}" for slug, names in models.items()))
    if comparison.untold:
        print(f"Segmind lists {comparison.untold} of the models without their parameters; these were not compared.")
    if not comparison:
        print(f"No difference: all {len(known_slugs())} models are as Segmind lists them.")


def _print_parameters(rows: list[Parameter], payload_class: type[KlingPayload]) -> None:
    """Print two columns: the name, and what is to be said of it."""
    width = max(len(row.name) for row in rows)
    for row in rows:
        default = "" if row.default is None else f". Default: {json.dumps(row.default)}"
        seen = "" if row.seen is payload_class.seen else f" (from {row.seen})"
        star = "*" if row.required else " "
        lead = f"{star} {row.name:{width}}  "
        _print_text(f"{words.takes(row)}{default}", lead=lead)
        if row.description or seen:
            _print_text(f"{row.description}{seen}".strip(), lead=" " * len(lead))
    if any(row.seen is payload_class.seen for row in rows):
        print(f"\n  Read on {payload_class.seen}, where nothing else is said.")


def _print_text(text: str, lead: str = "") -> None:
    width = min(shutil.get_terminal_size((WIDTH_IN_A_PIPE, 24)).columns, WIDEST)
    print(
        textwrap.fill(
            text,
            max(width, len(lead) + 20),
            initial_indent=lead,
            subsequent_indent=" " * len(lead),
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _classes() -> list[type[KlingPayload]]:
    found = [get_payload_class(slug) for slug in known_slugs()]
    return [payload_class for payload_class in found if payload_class is not None]


def _no_class(slug: Any) -> str:
    import difflib

    near = difflib.get_close_matches(slug, known_slugs(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`models list` names those that it has."
    return f"this version has no class for {slug!r}; {hint}"


def _fail(line: str) -> int:
    print(line, file=sys.stderr)
    return 1
