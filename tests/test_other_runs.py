"""What a task sees of the other runs of its DAG, read as a task reads it."""

from __future__ import annotations

TASKS = """
    from airflow_provider_kling.xcoms import claims_of_other_runs

    submit = KlingSubmitOperator.partial(task_id="submit").expand(
        payload=[O1Image(prompt="@Image1", image_urls=PICTURES)] * {count}
    )

    @task
    def see(**context):
        return [[claim["run"], claim["record"]["request_id"]] for claim in claims_of_other_runs(context, ["submit"])]

    submit >> see()
"""


def test_a_task_sees_what_the_tasks_of_other_runs_have_submitted_and_not_those_of_its_own(sim, conn_id, run_dag):
    first = run_dag(TASKS.format(count=2), dag_id="test_other_runs")
    assert first.xcom("see") == []
    second = run_dag(TASKS.format(count=1), dag_id="test_other_runs")
    made = [first.xcom("submit", map_index=index) for index in range(2)]
    assert sorted(second.xcom("see")) == sorted([first.dag_run.run_id, request_id] for request_id in made)
