"""What the commands about the ledger do. Each returns its exit code: 0, or 2 for an error."""

from __future__ import annotations

import csv
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
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
    from airflow_provider_kling.ledger.reconciliation import Difference


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


def export_ledger(args: argparse.Namespace) -> int:
    """Print the rows of a month."""
    from airflow_provider_kling.ledger.exported import COLUMNS, exported

    try:
        rows = exported(_database(args), *_month(args.month))
        if args.format == "csv":
            writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for row in rows:
                texts = {name: json.dumps(value) for name, value in row.items() if isinstance(value, dict | list)}
                writer.writerow({name: _cell(value) for name, value in (row | texts).items()})
            return 0
        for row in rows:
            print(json.dumps(row))
    except SegmindError as error:
        return complain(str(error), code=2)
    return 0


def reconcile_ledger(args: argparse.Namespace) -> int:
    """Compare a month with the history, and add what the ledger does not know; exit with 1 where they differ."""
    from airflow_provider_kling.hooks.segmind import SegmindHook
    from airflow_provider_kling.ledger.reconciliation import reconcile

    try:
        database, hook = _database(args), SegmindHook(args.conn_id)
        since, until = _month(args.month)
        found = reconcile(database, hook, hook.settings.host, since, until, logging.getLogger(__name__))
    except SegmindError as error:
        return complain(str(error), code=2)
    if found.differences:
        rows = [
            (job.request_id, job.model, f"{job.at:%Y-%m-%d %H:%M}" if job.at else "", _dollars(job.cost), job.what)
            for job in found.differences
        ]
        print_table(
            ("request id", "model", "at (UTC)", "cost", "what"), rows, kept=(0, 1, 2, 3), least_width=PIPE_WIDTH
        )
    print(
        f"{since:%B %Y}, in UTC: both know {found.jobs} job(s). The ends of {found.added} were added to the ledger. "
        f"{len(found.differences)} differ{_sum_of_differences(found.differences)}."
    )
    return 1 if found.differences else 0


def _sum_of_differences(differences: Sequence[Difference]) -> str:
    known = [job.cost for job in differences if job.cost is not None]
    return f", with bills of {dollars(sum(known))}" if known else ""


def archive_ledger(args: argparse.Namespace) -> int:
    """Move rows of earlier months into a file."""
    from airflow_provider_kling.ledger.exported import archive

    try:
        before, _ = _month(args.before)
        if before > _month(None)[0]:
            raise SegmindInputError(
                "--before: this month's rows are needed for its budgets; name it or an earlier one."
            )
        moved = archive(_database(args), before, Path(args.to))
    except SegmindError as error:
        return complain(str(error), code=2)
    print(f"{moved} row(s) from before {before:%B %Y} were moved to {args.to}.")
    return 0


def _cell(value: Any) -> Any:
    """Return a value for a table that a spreadsheet may open, which takes some texts for formulas."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _dollars(cost: float | None) -> str:
    return "" if cost is None else dollars(cost)


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
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    else:
        _print_totals(by, found, since)
    return 0


def _open(total: Total) -> str:
    if not total.open_jobs:
        return ""
    known = f"{total.open_jobs} up to {dollars(total.open_cost)}"
    return f"{known} + {total.unpriced} without a price" if total.unpriced else known


def _print_totals(by: Sequence[str], found: Sequence[Total], since: datetime) -> None:
    rows = [
        (
            *total.group,
            str(total.jobs),
            dollars(total.cost),
            _open(total),
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
        raise SegmindInputError(f"{text!r} is no month such as 2026-11.") from None
    first = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after: Any = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first, after
