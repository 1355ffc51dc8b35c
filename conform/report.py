"""What a person gets: a table on the terminal, `conform.md` and `conform.json`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from airflow_provider_kling import __version__
from conform.answers import clock_difference
from conform.assumptions import found_again
from conform.judgements import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conform.assumptions import Finding
    from conform.observed import Observations
    from demo.target import Target

COLOURS = {Verdict.SUPPORTED: "green", Verdict.BROKEN: "red", Verdict.NOT_MEASURED: "yellow"}


def table(findings: Sequence[Finding]) -> Table:
    """Lay out what was seen of each assumption."""
    result = Table(title="What is assumed of Segmind", title_justify="left", show_lines=True)
    for heading, ratio in (("assumption", 5), ("measured", 6)):
        result.add_column(heading, ratio=ratio, overflow="fold")
    result.add_column("", no_wrap=True)
    for finding in findings:
        verdict = f"[{COLOURS[finding.verdict]}]{finding.verdict}[/]"
        where = f"[dim]{finding.assumption.name}, {finding.assumption.where}[/]"
        result.add_row(f"{escape(finding.assumption.says)}\n{where}", escape(finding.measured), verdict)
    return result


def summary(findings: Sequence[Finding], seen: Observations) -> list[str]:
    """Return the outcome in a few lines: what follows from what is broken, and what all of it comes to."""
    broken = [finding.assumption for finding in findings if finding.verdict is Verdict.BROKEN]
    unknown = [finding.assumption.name for finding in findings if finding.verdict is Verdict.NOT_MEASURED]
    found, jobs = found_again(seen)
    return [
        f"{len(findings) - len(broken) - len(unknown)} supported, {len(broken)} broken, {len(unknown)} not measured"
        + (f" ({', '.join(unknown)})." if unknown else "."),
        *(f"Broken: {one.name} ({one.where}). {one.if_broken}" for one in broken),
        f"Had the answers to the submits been lost, the provider would have found {found} of {jobs} jobs again.",
    ]


def write(folder: Path, findings: Sequence[Finding], seen: Observations, target: Target) -> None:
    """Write the measurement down, for people and for programs. Rows are told by their fields' names only."""
    measured_at = datetime.now(tz=UTC)
    document = {
        "target": target.host if target.live else "simulator",
        "provider": __version__,
        "measured_at": measured_at.isoformat(timespec="seconds"),
        "summary": summary(findings, seen),
        "findings": [
            {
                "name": finding.assumption.name,
                "assumption": finding.assumption.says,
                "where": finding.assumption.where,
                "verdict": finding.verdict,
                "measured": finding.measured,
                "if_broken": finding.assumption.if_broken,
            }
            for finding in findings
        ],
        "seen": _seen(seen),
    }
    (folder / "conform.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    lines = [
        f"# What is assumed of Segmind, measured on {document['target']}",
        "",
        f"Provider {__version__}, {measured_at:%Y-%m-%d %H:%M} UTC.",
        "",
        *(f"- {line}" for line in summary(findings, seen)),
        "",
        "| assumption | rests on it | measured | |",
        "|---|---|---|---|",
        *(
            f"| {_cell(finding.assumption.says)} | {finding.assumption.where} | {_cell(finding.measured)} "
            f"| {finding.verdict} |"
            for finding in findings
        ),
    ]
    (folder / "conform.md").write_text("\n".join(lines) + "\n")


def _seen(seen: Observations) -> dict[str, Any]:
    """Return facts that no verdict needs, and that are worth keeping: nothing in them says whose account it is."""
    hosts = sorted({reply.host for reply in seen.replies})
    ahead = {host: clock_difference(reply for reply in seen.replies if reply.host == host) for host in hosts}
    about = ("x-", "date", "retry", "server", "via")
    return {
        "model": seen.model,
        "grace_seconds": seen.grace.total_seconds(),
        "requests": len(seen.replies),
        "http_codes": {
            str(code): sum(reply.status == code for reply in seen.replies)
            for code in sorted({reply.status for reply in seen.replies})
        },
        "headers": sorted({name for reply in seen.replies for name in reply.headers if name.startswith(about)}),
        "clock_ahead_seconds": {host: span and round(span.total_seconds(), 2) for host, span in ahead.items()},
        "row_fields": sorted({name for job in seen.jobs for name in job.row or ()}),
        "jobs": [
            {
                "job": job.name,
                "accepted": job.request_id is not None,
                "answered_seconds": (job.submit.answered_at - job.submit.sent_at).total_seconds(),
                "row_seen_seconds": job.seen_at and (job.seen_at - job.submit.sent_at).total_seconds(),
                "row_absent_seconds": job.absent_at and (job.absent_at - job.submit.sent_at).total_seconds(),
                "ended_seconds": job.end and (job.end.answered_at - job.submit.sent_at).total_seconds(),
                "end_http_code": job.end and job.end.status,
            }
            for job in seen.jobs
        ],
    }


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
