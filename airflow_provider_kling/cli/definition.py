"""
The commands, defined once for the program of their own and for Airflow's command line.

Airflow loads this at each of its commands, so it imports nothing but argparse's names.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

GROUP_HELP = "Kling models: what there is, what they take and cost"


@dataclass(frozen=True)
class Argument:
    """One argument: flags and options as argparse takes them."""

    flags: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One command; ``function`` in :mod:`airflow_provider_kling.cli.commands` returns its exit code."""

    name: str
    help: str
    function: str
    arguments: tuple[Argument, ...] = field(default=())

    def run(self, args: argparse.Namespace) -> int:
        """Carry it out."""
        commands = import_module("airflow_provider_kling.cli.commands")
        code: int = getattr(commands, self.function)(args)
        return code


_SLUG = Argument(("slug",), {"help": "the model, such as kling-o1"})
COMMANDS = (
    Command("list", "List the models that have a payload class", "list_models"),
    Command("show", "Show what a model takes, how long it runs and what it costs", "show_model", (_SLUG,)),
    Command(
        "validate",
        "Check a payload as the operator does, and estimate its price; sends nothing",
        "validate_payload",
        (_SLUG, Argument(("payload",), {"help": "a JSON file with the parameters, or - for standard input"})),
    ),
    Command(
        "diff",
        "Compare the classes with Segmind's live model list; exits with 1 where they differ",
        "diff_models",
        (Argument(("--conn-id",), {"default": "segmind_default", "help": "the connection to ask with"}),),
    ),
)


def get_airflow_commands() -> list[Any]:
    """Return the commands for Airflow's own command line: ``airflow kling models …`` (from 3.2 on)."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    actions = [
        ActionCommand(
            name=command.name,
            help=command.help,
            func=partial(_run_and_exit, command.run),
            args=[Arg(argument.flags, **argument.options) for argument in command.arguments],
        )
        for command in COMMANDS
    ]
    models = GroupCommand(name="models", help=GROUP_HELP, subcommands=actions)
    return [GroupCommand(name="kling", help="Kling on Segmind", subcommands=[models])]


def _run_and_exit(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> None:
    sys.exit(run(args))
