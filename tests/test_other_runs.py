"""What a task sees of the other runs of its DAG, read as a task reads it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.conftest import AIRFLOW_3

TASKS = """
    from airflow_provider_kling.siblings import OtherRuns

    submit = KlingSubmitOperator.partial(task_id="submit").expand(
        payload=[O1Image(prompt="@Image1", image_urls=PICTURES)] * {count}
    )

    @task
    def see(**context):
        claims = OtherRuns(context, ["submit"]).claims(leave_out=False)
        return [[claim["run"], claim["record"]["request_id"]] for claim in claims]

    submit >> see()
"""


def test_a_task_sees_what_the_tasks_of_other_runs_have_submitted_and_not_those_of_its_own(sim, conn_id, run_dag):
    first = run_dag(TASKS.format(count=2), dag_id="test_other_runs")
    assert first.xcom("see") == []
    second = run_dag(TASKS.format(count=1), dag_id="test_other_runs")
    made = [first.xcom("submit", map_index=index) for index in range(2)]
    assert sorted(second.xcom("see")) == sorted([first.dag_run.run_id, request_id] for request_id in made)


NAMES = """
    from airflow_provider_kling.versions import running_instances

    @task
    def clip(number, **context):
        return running_instances(context, ["clip", "clip_1"], retried=False)

    @task(task_id="clip_1")
    def second(**context):
        return running_instances(context, ["clip", "clip_1"], retried=False)

    clip.expand(number=[0, 1]) >> second()
"""


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 tells names and numbers apart, and its dag.test() no states")
def test_a_task_that_is_named_like_an_instance_of_a_mapped_one_is_not_taken_for_it(run_dag):
    run = run_dag(NAMES)
    assert [run.xcom("clip", map_index=index) for index in range(2)] == [["clip[0]"], ["clip[1]"]]
    assert run.xcom("clip_1") == ["clip_1"]


SEES = """
    from airflow_provider_kling.siblings import OtherRuns

    @task
    def see(**context):
        context["ti"].xcom_push(key="kling_submission", value={"run": context["run_id"]})
        return [claim["run"] for claim in OtherRuns(context, ["see"]).claims(leave_out=False)]

    see()
"""


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 asks its database for the latest runs alone")
def test_a_dag_with_a_past_too_long_to_be_read_is_not_asked_for_it(run_dag, caplog):
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import insert, select

    first = run_dag(SEES, dag_id="test_long_past")
    assert run_dag(SEES, dag_id="test_long_past").xcom("see") == [first.dag_run.run_id]
    table = TaskInstance.__table__
    with create_session() as session:
        (one,) = session.execute(select(table).where(table.c.run_id == first.dag_run.run_id)).mappings()
        map_index = "map_index" if "map_index" in table.c else "region_index"  # from Airflow 3.4 on
        copies = [{**one, "id": uuid4(), map_index: index} for index in range(20_000)]
        session.execute(insert(table), copies)
    assert run_dag(SEES, dag_id="test_long_past").xcom("see") == []
    assert "the states of 20003 task instances" in caplog.text
