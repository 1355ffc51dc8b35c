"""Hides secrets in the HTTP libraries' own logs: they quote headers that they cannot read, also in tracebacks."""

from __future__ import annotations

import logging

from airflow_provider_kling.segmind.sanitize import fit_text


def hide_in_logs(*loggers: str) -> None:
    """Hide secrets in what is logged under these names."""
    for name in loggers:
        logging.getLogger(name).addFilter(_without_secrets)


def _without_secrets(record: logging.LogRecord) -> bool:
    told = record.getMessage()
    if record.exc_info and record.exc_info[1] is not None:
        told += f" ({record.exc_info[1]})"
    if fit_text(told) != told:
        record.msg, record.args, record.exc_info = fit_text(told), (), None
    return True
