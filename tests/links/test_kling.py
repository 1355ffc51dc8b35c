from __future__ import annotations

from airflow_provider_kling.links.kling import KlingOutputLink


def test_the_button_opens_the_output_of_a_finished_wait_and_nothing_before(sim, conn_id, run_dag, tmp_path):
    found = tmp_path / "links"
    run = run_dag(f"""
        from pathlib import Path

        from airflow_provider_kling.links.kling import KlingOutputLink

        submit = KlingSubmitOperator(task_id="submit", payload=O1Image(prompt="@Image1", image_urls=PICTURES))
        done = KlingSensor(task_id="done", request_id=submit.output, poll_interval=0.2)

        @task
        def links(**context):
            class Key:
                dag_id, run_id, map_index, try_number = context["dag"].dag_id, context["run_id"], -1, 1

                def __init__(self, task_id):
                    self.task_id = task_id

            links = [KlingOutputLink().get_link(done, ti_key=Key(task_id)) for task_id in ("done", "nothing")]
            Path({str(found)!r}).write_text("|".join(links))

        done >> links()
    """)
    assert run.state == "success"
    assert found.read_text() == sim.ledger()["jobs"][0]["url"] + "|"
    assert KlingOutputLink.name == "Kling output"
