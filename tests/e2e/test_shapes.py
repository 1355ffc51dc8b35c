"""Each shape in which users put the steps together: mapped, grouped, templated, in functions; all runs at once."""

from __future__ import annotations

import pytest

from tests.e2e.chains import HEADER, PAIRS, assert_one_chain, dag_file, jobs_of

#: The shapes, by their DAG's id: the body of the DAG, and how many jobs a run of it is billed.
SHAPES = {
    "functions": (
        """
    @task.kling(model="kling-o1")
    def picture(address, run_id=None):
        return O1Image(prompt=f"@Image1 {run_id}", image_urls=[address])

    @task.kling(model="kling-o1-video-to-video-edit")
    def edit(video, run_id=None):
        judge(video)
        return O1VideoEdit(prompt=f"@Video1 {run_id}", video_url=video["url"])

    film = KlingGenerateOperator(
        task_id="film",
        payload=O1ReferenceToVideo(
            prompt="@Image1 {{ run_id }}", image_urls=[picture(PICTURE)["url"]], duration="5"
        ),
    )
    task(judge)(edit(film.output))
""",
        3,
    ),
    "mapped": (
        """
    submit = KlingSubmitOperator.partial(task_id="submit").expand(
        payload=[O1Image(prompt="@Image1 {{ run_id }} " + colour, image_urls=[PICTURE]) for colour in ("red", "blue")]
    )
    done = KlingSensor.partial(task_id="done").expand(request_id=submit.output)

    @task
    def collect(results, costs, run_id=None):
        results = list(results)
        for result, cost in zip(results, costs, strict=True):
            judge(result, cost=cost)
        return [
            {"prompt": f"@Image1 {run_id} again {number}", "image_urls": [result["url"]]}
            for number, result in enumerate(results)
        ]

    again = KlingGenerateOperator.partial(task_id="again", model="kling-o1").expand(
        payload=collect(done.output, done.output["cost"])
    )

    @task
    def judged_all(results):
        assert len([judge(result) for result in results]) == 2

    judged_all(again.output)
""",
        4,
    ),
    "grouped": (
        """
    @task
    def shots(run_id=None):
        return [
            {"prompt": f"@Image1 {run_id} {colour}", "image_urls": [PICTURE]} for colour in ("red", "blue")
        ]

    @task
    def again_of(result, run_id=None):
        judge(result)
        return {"prompt": f"@Image1 {run_id} again", "image_urls": [result["url"]]}

    @task_group
    def shot(payload):
        submit = KlingSubmitOperator(task_id="submit", model="kling-o1", payload=payload)
        done = KlingSensor(task_id="done", request_id=submit.output)
        generate = KlingGenerateOperator(task_id="generate", model="kling-o1", payload=again_of(done.output))
        task(judge)(generate.output)

    shot.expand(payload=shots())
""",
        4,
    ),
    "native": (
        """
    picture = KlingGenerateOperator(
        task_id="picture", payload=O1Image(prompt="@Image1 {{ run_id }}", image_urls=["{{ params.picture }}"]),
        params={"picture": PICTURE},
    )
    submit = KlingSubmitOperator(
        task_id="submit",
        model="kling-o1",
        payload="{{ {'prompt': '@Image1 ' + run_id, 'image_urls': ti.xcom_pull(task_ids='picture')['urls']} }}",
    )
    done = KlingSensor(task_id="done", request_id="{{ ti.xcom_pull(task_ids='submit') }}")
    picture >> submit >> done
    judge_of("judged", done)
""",
        2,
    ),
    "templated": (
        """
    submit = KlingSubmitOperator(
        task_id="submit", payload=O1Image(prompt="@Image1 {{ run_id }}", image_urls=[PICTURE])
    )
    done = KlingSensor(
        task_id="done", request_id="{{ ti.xcom_pull(task_ids='submit', map_indexes=-1) }}", model="{{ params.slug }}",
        params={"slug": "kling-o1"},
    )
    again = KlingGenerateOperator(
        task_id="again",
        payload=O1Image(
            prompt="@Image1 {{ run_id }}", image_urls=["{{ ti.xcom_pull(task_ids='done', key='url') }}"]
        ),
    )
    submit >> done >> again
    judge_of("judge_done", done)
    judge_of("judge_again", again)
""",
        2,
    ),
}
POKED, RESCHEDULED = ("poked", 'mode="poke", poll_interval=1'), ("rescheduled", 'mode="reschedule", poll_interval=12')


def shape_file(sim) -> str:
    text = HEADER.format(picture=f"{sim.url}/simulator/inputs/robot.png")
    for dag_id, (body, _) in SHAPES.items():
        native = ", render_template_as_native_obj=True" if dag_id == "native" else ""
        text += f'\n\nwith DAG("shape_{dag_id}", schedule=None, default_args=DEFAULTS{native}):{body}'
    return text


@pytest.fixture(scope="module")
def shaped(running, sim):
    """Start every shape at once."""
    running.write_dag("shape", shape_file(sim))
    for name, arguments in (POKED, RESCHEDULED):
        running.write_dag(name, dag_file(PAIRS, name, sim, arguments=arguments))
    for dag_id in [*(f"shape_{name}" for name in SHAPES), POKED[0], RESCHEDULED[0]]:
        running.trigger(dag_id, f"{dag_id}-1")


@pytest.mark.usefixtures("shaped")
@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_hands_on_plain_values_and_bills_each_step_once(running, sim, name):
    run_id = f"shape_{name}-1"
    assert running.run_ends(run_id) == "success", running.last_words()
    assert len(jobs_of(sim, run_id)) == SHAPES[name][1]


@pytest.mark.usefixtures("shaped")
@pytest.mark.parametrize("name", [POKED[0], RESCHEDULED[0]])
def test_the_pairs_chain_in_the_modes_that_wait_on_a_worker(running, sim, name):
    assert running.run_ends(f"{name}-1") == "success", running.last_words()
    assert_one_chain(sim, f"{name}-1")


SOFT = """
with DAG("soft", schedule=None):
    submit = KlingSubmitOperator(
        task_id="submit", model="kling-1.6-text2video", payload={{"prompt": "{{{{ run_id }}}}"}}
    )
    waits = [
        KlingSensor(task_id="deferred", request_id=submit.output, timeout=2, soft_fail=True),
        KlingSensor(task_id="poked", request_id=submit.output, timeout=2, soft_fail=True, mode="poke"),
        KlingSensor(
            task_id="rescheduled", request_id=submit.output, timeout=2, soft_fail=True, mode="reschedule",
            poll_interval=12,
        ),
    ]
    KlingSensor(task_id="patient", request_id=submit.output, trigger_rule="all_done") << waits
"""


def test_a_deadline_that_passes_skips_with_soft_fail_and_a_later_wait_gets_the_job(running, sim):
    running.write_dag("soft", HEADER.format(picture="") + SOFT.format())
    sim.order_fault(
        "respond", method="GET", model="kling-1.6-text2video", times=10_000, status=200, body={"status": "PROCESSING"}
    )
    running.trigger("soft", "soft-1")
    early = ("deferred", "poked", "rescheduled")
    running.wait_until(lambda: "None" not in running.states("soft-1", "patient"), "the deadlines pass", every=0.5)
    sim.clear_faults()
    assert {task["task_id"]: task["state"] for task in running.tasks("soft-1", *early)} == dict.fromkeys(
        early, "skipped"
    )
    assert running.run_ends("soft-1") == "success", running.last_words()
    (job,) = jobs_of(sim, "soft-1")
    assert running.xcom("soft-1", "patient", "url") == job["url"]
