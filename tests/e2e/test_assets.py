"""What Airflow knows of the files that tasks save, and which DAGs it starts for them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from string import Template

import pytest
from airflow import __version__ as airflow_version

from tests.conftest import AIRFLOW_3
from tests.e2e.airflow_processes import PAGE

#: Airflow tells a run of every event that it was started for; before, of those up to the first that was queued.
TELLS_ALL = not airflow_version.startswith(("2.", "3.0", "3.1", "3.2", "3.3"))
RUNS, FILES = 10, 3
READ = """
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, task

from airflow_provider_kling.operators.kling import KlingGenerateOperator

# Airflow's scheduler may fail a task whose wait is over at once.
AGAIN = {"retries": 3, "retry_delay": timedelta(seconds=1)}

START = datetime(2026, 1, 1, tzinfo=UTC)  # Airflow 2 wants one for a DAG that is scheduled

def told(context):
    told = context["triggering_asset_events" if "triggering_asset_events" in context else "triggering_dataset_events"]
    return [event.extra for events in told.values() for event in events]
"""
FOLDER = Template(
    READ
    + """
FOLDER = Asset("$uri")

with DAG("folder_is_filled", schedule=None, default_args=AGAIN, max_active_runs=2):
    KlingGenerateOperator.partial(
        task_id="clip", model="kling-text2video", deferrable=False, store="file://$folder/{{ run_id }}"
    ).expand(payload=[{"prompt": "{{ run_id }} %d" % number} for number in range($files)])

with DAG("folder_is_read", schedule=[FOLDER], start_date=START):

    @task(inlets=[FOLDER])
    def read(**context):
        return {"told": told(context), "known": [event.extra["path"] for event in context["inlet_events"][FOLDER]]}

    read()
"""
)
OF_THE_RUN = Template(
    READ
    + """
NAME = {} if $airflow_2 else {"name": "clips of this run"}

with DAG("chosen_is_filled", schedule=None, default_args=AGAIN, params={"folder": "", "nowhere": ""}):
    for name in ("folder", "nowhere"):
        KlingGenerateOperator(
            task_id=name, model="kling-text2video", payload={"prompt": f"{{{{ run_id }}}} {name}"},
            store=f"{{{{ params.{name} }}}}",
        )

with DAG("chosen_is_read", schedule=[Asset(uri="$uri", **NAME)], start_date=START):

    @task
    def read(**context):
        return told(context)

    read()
"""
)
ALIAS = Template(
    READ
    + """
with DAG("alias_is_filled", schedule=None, default_args=AGAIN):
    KlingGenerateOperator.partial(
        task_id="clip", model="kling-text2video", store="$folder", outlets=[AssetAlias("clips")]
    ).expand(payload=[{"prompt": "{{ run_id }} %d" % number} for number in range($files)])

with DAG("alias_is_read", schedule=[AssetAlias("clips")], start_date=START):

    @task
    def read(**context):
        return told(context)

    read()
"""
)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "café"


@pytest.fixture
def uri(folder) -> str:
    """Return the URI of the folder's asset: Airflow takes ASCII only."""
    return f"file://{folder}".replace("é", "%C3%A9")


def all_of(running, path: str, key: str, **params) -> list[dict]:
    """Return all entries of a list, page by page."""
    found: list[dict] = []
    while True:
        page = running.api.get(path, limit=PAGE, offset=len(found), **params)
        found += page[key]
        if len(found) >= page["total_entries"] or not page[key]:
            return found


def assets(running, uri: str, *, only_active: bool = True) -> list[dict]:
    """Return the assets whose URI begins so: those of the Assets page, or all that there ever were."""
    path, options = ("assets", {"only_active": only_active}) if AIRFLOW_3 else ("datasets", {})
    return [asset for asset in all_of(running, path, path, **options) if asset["uri"].startswith(uri)]


def events(running, asset: dict) -> list[dict]:
    """Return what the events of an asset carry."""
    path, word = ("assets/events", "asset") if AIRFLOW_3 else ("datasets/events", "dataset")
    return [event["extra"] for event in all_of(running, path, f"{word}_events", **{f"{word}_id": asset["id"]})]


def reads(running, dag_id: str) -> list:
    """Return what the runs of a DAG that is scheduled on an asset have read, each run for itself, once all are over."""

    def over():
        runs = all_of(running, f"dags/{dag_id}/dagRuns", "dag_runs")
        assert "failed" not in {run["state"] for run in runs}, running.last_words()
        return runs if {run["state"] for run in runs} == {"success"} else None

    runs = running.wait_until(over, f"the runs of {dag_id} end", every=1)
    return [running.api.xcom(dag_id, run["dag_run_id"], "read", "return_value") for run in runs]


def generate(running, dag_id: str, runs: int, **conf) -> None:
    """Run a DAG some times at once."""
    ids = [f"{dag_id}-{number}" for number in range(runs)]
    for run_id in ids:
        running.trigger(dag_id, run_id, conf)
    assert {running.run_ends(run_id, seconds=600) for run_id in ids} == {"success"}, running.last_words()


def billed(sim, dag_id: str) -> int:
    return len([job for job in sim.ledger()["jobs"] if job["inputs"]["prompt"].startswith(dag_id)])


def test_ten_runs_make_one_asset_with_an_event_for_each_file_and_start_the_dag_that_reads_them(
    running, sim, folder, uri
):
    running.write_dag("folder", FOLDER.substitute(uri=uri, folder=folder, files=FILES))
    generate(running, "folder_is_filled", RUNS)
    (asset,) = assets(running, uri)
    assert asset["uri"] == uri
    files = {f"file://{file}": hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*.mp4")}
    told = events(running, asset)
    assert len(told) == len(files) == billed(sim, "folder_is_filled") == RUNS * FILES
    assert {facts["path"]: facts["sha256"] for facts in told} == files
    assert all(Path(facts["sidecar"].removeprefix("file://")).is_file() for facts in told)

    def all_known():
        return {path for read in reads(running, "folder_is_read") for path in read["known"]} == set(files)

    running.wait_until(all_known, "the DAG that is scheduled on the folder knows every file", every=2)
    read = [facts for read in reads(running, "folder_is_read") for facts in read["told"]]
    assert len({facts["path"] for facts in read}) == len(read) > 0
    assert all(facts in told for facts in read)
    if TELLS_ALL:
        assert len(read) == len(told)


def test_a_folder_that_only_the_run_knows_starts_the_dag_that_names_it_and_is_no_asset_otherwise(
    running, sim, folder, uri
):
    running.write_dag("chosen", OF_THE_RUN.substitute(uri=uri, folder=folder, airflow_2=not AIRFLOW_3))
    nowhere = folder.with_name("nowhere")
    generate(running, "chosen_is_filled", 2, folder=f"{folder}/", nowhere=str(nowhere))
    assert billed(sim, "chosen_is_filled") == len([*folder.rglob("*.mp4"), *nowhere.rglob("*.mp4")]) == 4
    (asset,) = assets(running, uri)
    assert {facts["path"] for facts in events(running, asset)} == {f"file://{file}" for file in folder.rglob("*.mp4")}
    assert running.wait_until(lambda: reads(running, "chosen_is_read"), "the DAG of the folder runs", every=1)
    assert assets(running, f"file://{nowhere}", only_active=False) == []


def test_an_alias_gets_each_file_as_an_asset_for_those_who_ask_for_it(running, sim, folder, uri):
    running.write_dag("alias", ALIAS.substitute(folder=folder, files=FILES))
    generate(running, "alias_is_filled", 2)
    files = {f"file://{file}" for file in folder.rglob("*.mp4")}
    assert len(files) == billed(sim, "alias_is_filled") == 2 * FILES
    read = running.wait_until(lambda: reads(running, "alias_is_read"), "the DAG of the alias runs", every=1)
    # Airflow 2 and 3.0 start a run for an alias without telling it of the events.
    assert {facts["path"] for run in read for facts in run} <= files
    own = [events(running, asset) for asset in assets(running, uri, only_active=False)]
    assert sorted(facts["path"] for (facts,) in own) == sorted(files)
