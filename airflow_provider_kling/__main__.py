"""``python -m airflow_provider_kling``: the command line without Airflow's own."""

import sys

from airflow_provider_kling.cli.standalone import main

sys.exit(main())
