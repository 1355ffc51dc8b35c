"""
The commands, defined once for the program of their own and for Airflow's command line.

Airflow loads this at each of its commands, so it imports nothing but argparse's names.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


@dataclass(frozen=True)
class Argument:
    """One argument: flags and options as argparse takes them."""

    flags: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One command; ``function`` returns its exit code."""

    name: str
    help: str
    function: str
    arguments: tuple[Argument, ...] = field(default=())

    def run(self, args: argparse.Namespace) -> int:
        """Carry it out."""
        # A command is no task: without this Airflow 3 looks for connections in the environment alone (tried on 3.3.2).
        os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
        module, _, function = self.function.rpartition(".")
        try:
            code: int = getattr(import_module(f"airflow_provider_kling.cli.{module}"), function)(args)
            sys.stdout.flush()
        except BrokenPipeError:  # as of `… | head`; what is left to flush goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        return code


_SLUG = Argument(("slug",), {"help": "the model, such as kling-o1"})
_MODELS = (
    Command("list", "List the models that have a payload class", "commands.list_models"),
    Command("show", "Show what a model takes, how long it runs and what it costs", "commands.show_model", (_SLUG,)),
    Command(
        "validate",
        "Check a payload as the operator does, and estimate its price; sends nothing",
        "commands.validate_payload",
        (_SLUG, Argument(("payload",), {"help": "a JSON file with the parameters, or - for standard input"})),
    ),
    Command(
        "diff",
        "Compare the classes with Segmind's live model list; exits with 1 where they differ",
        "commands.diff_models",
        (Argument(("--conn-id",), {"default": "segmind_default", "help": "the connection to ask with"}),),
    ),
)
_LEDGER_ID = Argument(
    ("--ledger-conn-id",), {"help": "the ledger's connection (default: ledger_conn_id in section kling)"}
)
_MONTH = Argument(("--month",), {"help": "such as 2026-11 (default: this month; times are UTC)"})
_LEDGER = (
    Command("migrate", "Make the ledger's tables, or bring them up to date", "ledger.migrate_ledger", (_LEDGER_ID,)),
    Command(
        "export",
        "Print the rows of a month, as lines of JSON or as CSV",
        "ledger.export_ledger",
        (
            _MONTH,
            Argument(("--format",), {"default": "json", "choices": ["json", "csv"], "help": "of the rows"}),
            _LEDGER_ID,
        ),
    ),
    Command(
        "reconcile",
        "Hold a month of the ledger against Segmind's history; exits with 1 where they differ",
        "ledger.reconcile_ledger",
        (
            _MONTH,
            Argument(("--conn-id",), {"default": "segmind_default", "help": "the connection to ask with"}),
            _LEDGER_ID,
        ),
    ),
    Command(
        "archive",
        "Move rows of months that are over into a file; what may still be needed stays",
        "ledger.archive_ledger",
        (
            Argument(("--before",), {"required": True, "help": "the first month that stays, such as 2026-11"}),
            Argument(("--to",), {"required": True, "help": "a file that does not exist yet"}),
            _LEDGER_ID,
        ),
    ),
)
#: The commands of no group.
COMMANDS = (
    Command(
        "costs",
        "Add up what jobs cost",
        "ledger.show_costs",
        (
            _MONTH,
            Argument(("--by",), {"default": "dag,model", "help": "of dag, model, project, task, run, deployment"}),
            Argument(("--format",), {"default": "table", "choices": ["table", "csv", "json"], "help": "of the answer"}),
            _LEDGER_ID,
        ),
    ),
)
#: The groups of commands, with what they are for.
GROUPS: tuple[tuple[str, str, tuple[Command, ...]], ...] = (
    ("models", "Kling models: what there is, what they take and cost", _MODELS),
    ("ledger", "The ledger: what was sent, paid and made", _LEDGER),
)


def get_airflow_commands() -> list[Any]:
    """Return the commands for Airflow's own command line: ``airflow kling …`` (from 3.2 on)."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    def actions(commands: tuple[Command, ...]) -> list[Any]:
        return [
            ActionCommand(
                name=command.name,
                help=command.help,
                func=partial(_run_and_exit, command.run),
                args=[Arg(argument.flags, **argument.options) for argument in command.arguments],
            )
            for command in commands
        ]

    groups = [GroupCommand(name=name, help=text, subcommands=actions(commands)) for name, text, commands in GROUPS]
    return [GroupCommand(name="kling", help="Kling on Segmind", subcommands=[*groups, *actions(COMMANDS)])]


def _run_and_exit(run: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> None:
    sys.exit(run(args))
