"""The commands as a program of their own: ``python -m airflow_provider_kling models …``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from airflow_provider_kling.cli.definition import COMMANDS, GROUP_HELP

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_kling", description="Kling models on Segmind")
    groups = parser.add_subparsers(required=True, metavar="COMMAND")
    models = groups.add_parser("models", help=GROUP_HELP).add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = models.add_parser(command.name, help=command.help, description=command.help)
        for argument in command.arguments:
            subparser.add_argument(*argument.flags, **argument.options)
        subparser.set_defaults(run=command.run)
    args = parser.parse_args(argv)
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:  # as of `… | head`; what is left to flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code
