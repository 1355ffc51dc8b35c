"""The commands and their arguments, once for both ways in: argparse here, Airflow's own command line beside it."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.cli import models

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HELP = "Kling models on Segmind: what each takes and costs"


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of a command; ``options`` are what argparse and Airflow both understand."""

    flag: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """A command below ``models``: ``run`` takes the parsed arguments and returns the exit code."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    arguments: tuple[Argument, ...] = ()
    description: str = ""


_SLUG = Argument("slug", {"metavar": "SLUG", "help": "the model, such as kling-o1"})

COMMANDS = (
    Command(
        "list",
        "list the models with class, usual seconds and price",
        models.list_models,
        description=(
            "List all models that have a payload class, family by family. SEC is what a job takes on average; PRICE "
            "is in US dollars, from the shortest to the longest video, or with a ~ the average."
        ),
    ),
    Command(
        "show",
        "show what a model takes and costs, with an example",
        models.show_model,
        (_SLUG,),
        "Show a model's class, usual time, price, parameters, and a task to copy.",
    ),
    Command(
        "validate",
        "check a payload in a JSON file and tell its price",
        models.validate_payload,
        (_SLUG, Argument("payload", {"metavar": "PAYLOAD", "help": "a file with the payload as JSON; - for stdin"})),
        "Check a payload as a task does before it submits, and tell its price. Nothing is sent. Exit code 0: valid; "
        "1: refused, not readable, or of a model that this version cannot check.",
    ),
    Command(
        "diff",
        "compare Segmind's live list of models with the classes",
        models.diff_models,
        (
            Argument(
                "--conn-id",
                {"default": "segmind_default", "help": "the connection to Segmind (default: segmind_default)"},
            ),
        ),
        "Compare Segmind's live list of models with the payload classes; costs nothing. Exit code 0: no difference; "
        "1: they differ; 2: the list could not be read.",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``python -m airflow_provider_kling`` and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_kling", description=HELP)
    subject = parser.add_subparsers(required=True, metavar="models").add_parser("models", help=HELP, description=HELP)
    actions = subject.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        below = actions.add_parser(command.name, help=command.help, description=command.description)
        for argument in command.arguments:
            below.add_argument(argument.flag, **argument.options)
        below.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    return run(args.run, args)


def run(handler: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Run a command. A reader that closes the pipe early, as ``head`` does, is no fault."""
    try:
        code = handler(args)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails once more at exit
        return 0
    return code
