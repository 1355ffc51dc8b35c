"""Which Airflow is installed."""

from __future__ import annotations

from importlib.metadata import version

AIRFLOW = version("apache-airflow")
AIRFLOW_2 = AIRFLOW.startswith("2.")
