"""``python -m airflow_provider_kling``: the command line without Airflow's own."""

from __future__ import annotations

import sys

from airflow_provider_kling.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
