"""``airflow kling models``: the same commands in Airflow's own command line, which reads them from 3.2 on."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow.cli.cli_config import CLICommand

    from airflow_provider_kling.cli.commands import Command


def get_commands() -> list[CLICommand]:
    """Return what Airflow adds to its command line. Called for every ``airflow`` command, so it must be quick."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    from airflow_provider_kling.cli.commands import COMMANDS, HELP

    actions = [
        ActionCommand(
            name=command.name,
            help=command.help.capitalize(),
            description=command.description,
            func=partial(_run, command),
            args=[Arg(flags=(argument.flag,), **argument.options) for argument in command.arguments],
        )
        for command in COMMANDS
    ]
    models = GroupCommand(name="models", help=HELP, subcommands=actions)
    return [GroupCommand(name="kling", help=HELP, subcommands=[models])]


def _run(command: Command, args: Namespace) -> None:
    from airflow_provider_kling.cli.commands import run

    sys.exit(run(command.run, args))
