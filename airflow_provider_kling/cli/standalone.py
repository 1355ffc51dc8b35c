"""The commands as a program of their own: ``python -m airflow_provider_kling …``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.cli.definition import COMMANDS, GROUPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_kling.cli.definition import Command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_kling", description="Kling models on Segmind")
    groups = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, help_text, commands in GROUPS:
        group = groups.add_parser(name, help=help_text).add_subparsers(required=True, metavar="COMMAND")
        _add(group, commands)
    _add(groups, COMMANDS)
    args = parser.parse_args(argv)
    return int(args.run(args))


def _add(parsers: Any, commands: Sequence[Command]) -> None:
    for command in commands:
        parser = parsers.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.arguments:
            parser.add_argument(*argument.flags, **argument.options)
        parser.set_defaults(run=command.run)
