"""Three days are backfilled, two at a time: a job for each day, and each day's file in its place."""

from __future__ import annotations

from tests.e2e.backfills import backfill
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
    backfill(running, "daily", DAYS)
    prompts = sorted(job["inputs"]["prompt"] for job in sim.ledger()["jobs"] if " day " in job["inputs"]["prompt"])
    assert prompts == sorted(
        prompt for day in DAYS for prompt in (f"@Image1 on day {day}", f"@Image1 again, day {day}")
    )
    for day in DAYS:
        assert {file.suffix for file in (folder / day).rglob("*") if file.is_file()} == {".png", ".json"}
