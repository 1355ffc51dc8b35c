"""What the commands about the ledger do. Each returns its exit code: 0, or 2 for an error."""

from __future__ import annotations

import csv
import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_kling.cli.commands import PIPE_WIDTH, complain, print_table
from airflow_provider_kling.ledger.configured import ledger_database
from airflow_provider_kling.segmind.errors import SegmindError, SegmindInputError
from airflow_provider_kling.segmind.money import dollars

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from airflow_provider_kling.ledger.cost_totals import Total
    from airflow_provider_kling.ledger.database import Database


def migrate_ledger(args: argparse.Namespace) -> int:
    """Make the tables, or bring them up to date."""
    try:
        database = _database(args)
        from airflow_provider_kling.ledger.migration import migrate

        before, now = migrate(database)
    except SegmindError as error:
        return complain(str(error), code=2)
    print(f"The ledger has version {now}." if before == now else f"The ledger was migrated to version {now}.")
    return 0


def show_costs(args: argparse.Namespace) -> int:
    """Print what the jobs of a month cost."""
    from airflow_provider_kling.ledger.cost_totals import GROUPS, totals

    by = [name.strip() for name in args.by.split(",") if name.strip()]
    try:
        if unknown := [name for name in by if name not in GROUPS]:
            raise SegmindInputError(f"--by: {unknown[0]!r} is none of {', '.join(GROUPS)}.")
        since, until = _month(args.month)
        found = totals(_database(args), since, until, by)
    except SegmindError as error:
        return complain(str(error), code=2)
    if args.format == "json":
        print(json.dumps([total.to_dict(by) for total in found], indent=2))
    elif args.format == "csv":
        rows = [total.to_dict(by) for total in found]
        writer = csv.DictWriter(sys.stdout, rows[0].keys() if rows else by, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print_totals(by, found, since)
    return 0


def _print_totals(by: Sequence[str], found: Sequence[Total], since: datetime) -> None:
    rows = [
        (
            *total.group,
            str(total.jobs),
            dollars(total.cost),
            f"{total.open_jobs} up to {dollars(total.open_cost)}" if total.open_jobs else "",
            str(total.failed or ""),
            str(total.reused or ""),
            f"{total.unused} {dollars(total.unused_cost)}" if total.unused else "",
            "no longer the published one" if total.has_drifted else "",
        )
        for total in found
    ]
    columns = (*by, "jobs", "billed", "without a bill", "FAILED", "reused", "paid, not used", "price")
    print_table(columns, rows, kept=tuple(range(len(columns))), least_width=PIPE_WIDTH)
    print(f"{since:%B %Y}, in UTC: {dollars(sum(total.cost for total in found))} billed.")


def _database(args: argparse.Namespace) -> Database:
    logging.disable(logging.INFO)  # Airflow 2 logs to standard output, where the answer goes
    database = ledger_database(args.ledger_conn_id)
    if database is None:
        raise SegmindInputError(
            "There is no ledger: set [kling] ledger_conn_id in Airflow's config (AIRFLOW__KLING__LEDGER_CONN_ID), or "
            "name its connection with --ledger-conn-id."
        )
    return database


def _month(text: str | None) -> tuple[datetime, datetime]:
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC) if text else datetime.now(tz=UTC)
    except ValueError:
        raise SegmindInputError(f"--month: {text!r} is no month such as 2026-11.") from None
    first = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after: Any = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first, after
