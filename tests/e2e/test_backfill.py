"""Three days are backfilled, two at a time: a job for each day, and each day's file in its place."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import AIRFLOW_3
from tests.e2e.chains import HEADER

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
DAG_FILE = (
    HEADER
    + """
import pendulum

with DAG(
    "daily", schedule="@daily", catchup=False, default_args=DEFAULTS, max_active_runs=2,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"), end_date=pendulum.datetime(2024, 4, 1, tz="UTC"),
):
    submit = KlingSubmitOperator(
        task_id="submit", payload=O1Image(prompt="@Image1 on day {{{{ ds }}}}", image_urls=[PICTURE])
    )
    done = KlingSensor(task_id="done", request_id=submit.output)
    KlingGenerateOperator(
        task_id="again",
        payload=O1Image(prompt="@Image1 again, day {{{{ ds }}}}", image_urls=[done.output["url"]]),
        store={folder!r} + "/{{{{ ds }}}}",
    )
    judge_of("judged", done)
"""
)


def test_three_days_are_backfilled_and_each_is_paid_once(running, sim):
    folder = running.home / "daily"
    picture = f"{sim.url}/simulator/inputs/robot.png"
    running.write_dag("daily", DAG_FILE.format(picture=picture, folder=folder.as_uri()))
    if AIRFLOW_3:
        wanted = {"from_date": f"{DAYS[0]}T00:00:00Z", "to_date": f"{DAYS[-1]}T00:00:00Z", "max_active_runs": 2}
        running.api.post("backfills", {"dag_id": "daily", "dag_run_conf": {}, **wanted})
    else:
        command = ["airflow", "dags", "backfill", "daily", "-s", DAYS[0], "-e", DAYS[-1]]
        subprocess.run(  # noqa: S603 Airflow's own command
            [sys.executable, "-m", *command], env=running.env, check=True, capture_output=True, timeout=400
        )

    def runs():
        return running.api.get("dags/daily/dagRuns")["dag_runs"]

    running.wait_until(
        lambda: sorted(run["state"] for run in runs()) == ["success"] * len(DAYS),
        "all days are done",
        seconds=300,
        every=1,
    )
    prompts = sorted(job["inputs"]["prompt"] for job in sim.ledger()["jobs"] if " day " in job["inputs"]["prompt"])
    assert prompts == sorted(
        prompt for day in DAYS for prompt in (f"@Image1 on day {day}", f"@Image1 again, day {day}")
    )
    for day in DAYS:
        assert {file.suffix for file in (folder / day).rglob("*") if file.is_file()} == {".png", ".json"}
