"""Only what the DAG's author wrote is rendered, once: whatever tasks, files and people fill in is sent as it is."""

from __future__ import annotations

import pytest

from tests.conftest import AIRFLOW_3

#: What somebody else puts where a prompt is expected; ``14`` is what the author's own template gives.
DATA = "{{ 6 * 7 }} {% if true %}and more{% endif %}"
AUTHORS = '"{{ 7 + 7 }}"'
TASKS = f"""
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator

@task
def data():
    return [{DATA!r}]

@task
def text():
    return {DATA!r}

@task
def payload():
    return {{"prompt": {DATA!r}, "aspect_ratio": "1:1"}}

@task
def payloads():
    return [{{"prompt": {DATA!r}, "aspect_ratio": "1:1"}}]

@task
def kwargs():
    return [{{"payload": {{"prompt": {DATA!r}, "aspect_ratio": "1:1"}}}}]

SUBMIT = {{"task_id": "submit", "model": "kling-3-text2image"}}
"""
FORMS = {
    "expand": "KlingSubmitOperator.partial(**SUBMIT).expand(payload=payloads())",
    "expand_kwargs": "KlingSubmitOperator.partial(**SUBMIT).expand_kwargs(kwargs())",
    "expand over mapped": (
        "KlingSubmitOperator.partial(**SUBMIT).expand("
        'payload=data().map(lambda text: {"prompt": text, "aspect_ratio": "1:1"}))'
    ),
    "generate": "KlingGenerateOperator.partial(**SUBMIT).expand(payload=payloads())",
    "a text of the payload": 'KlingSubmitOperator(**SUBMIT, payload={"prompt": text(), "aspect_ratio": "1:1"})',
    "the whole payload": "KlingSubmitOperator(**SUBMIT, payload=payload())",
    "a template of the payload": """
KlingSubmitOperator(**SUBMIT, payload={"prompt": "{{ ti.xcom_pull(task_ids='text') }}"}).set_upstream(text())""",
    "a parameter of the run": 'KlingSubmitOperator(**SUBMIT, payload={"prompt": "{{ dag_run.conf[\'data\'] }}"})',
    "a task group": """
from airflow.providers.common.compat.sdk import task_group

@task_group
def group(payload):
    KlingSubmitOperator(**SUBMIT, payload=payload)

group.expand(payload=payloads())""",
    "a decorated function": """
@task.kling(model="kling-3-text2image")
def submit(prompt):
    return {"prompt": prompt}

submit(text())""",
    "a decorated function, expanded": """
@task.kling(model="kling-3-text2image")
def submit(prompt):
    return {"prompt": prompt}

submit.expand(prompt=data())""",
    "a decorated function, expanded over kwargs": """
@task.kling(model="kling-3-text2image")
def submit(payload):
    return payload

submit.expand_kwargs(kwargs())""",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_template_in_the_data_is_sent_as_it_is(sim, conn_id, run_dag, form):
    run = run_dag(TASKS + form, **{"run_conf": {"data": DATA}} if "conf" in form else {})
    assert run.state == "success"
    assert [job["inputs"]["prompt"] for job in sim.ledger()["jobs"]] == [DATA]


WRITTEN = {
    "a plain task": f'KlingSubmitOperator(**SUBMIT, payload={{"prompt": {AUTHORS}}})',
    "partial": f"""
KlingSubmitOperator.partial(task_id="submit", payload={{"prompt": {AUTHORS}}}).expand(
    model=data().map(lambda text: "kling-3-text2image"))""",
    "expand": f'KlingSubmitOperator.partial(**SUBMIT).expand(payload=[{{"prompt": {AUTHORS}}}])',
    "expand_kwargs": f'KlingSubmitOperator.partial(**SUBMIT).expand_kwargs([{{"payload": {{"prompt": {AUTHORS}}}}}])',
    "a decorated function": f"""
@task.kling(model="kling-3-text2image")
def submit(prompt, more):
    return {{"prompt": prompt}}

submit.partial(prompt={AUTHORS}).expand(more=data())""",
    "partial, beside what may be replaced": f"""
KlingSubmitOperator.partial(**SUBMIT, payload={{"prompt": {AUTHORS}}}).expand_kwargs(
    data().map(lambda text: {{"model": "kling-3-text2image"}}), strict=False)""",
    "default_args": f"""
dag.default_args["payload"] = {{"prompt": {AUTHORS}}}
KlingSubmitOperator.partial(task_id="submit").expand_kwargs(
    data().map(lambda text: {{"model": "kling-3-text2image"}}))""",
    "a decorated function, beside what may be replaced": f"""
@task.kling(model="kling-3-text2image")
def submit(prompt, more=""):
    return {{"prompt": prompt}}

submit.partial(prompt={AUTHORS}).expand_kwargs(data().map(lambda text: {{"more": text}}), strict=False)""",
}


@pytest.mark.parametrize("form", WRITTEN.values(), ids=WRITTEN)
def test_what_the_author_wrote_is_rendered_in_a_mapped_task_too(sim, conn_id, run_dag, form):
    assert run_dag(TASKS + form).state == "success"
    assert [job["inputs"]["prompt"] for job in sim.ledger()["jobs"]] == ["14"]


def test_a_folder_that_was_filled_in_is_no_template(sim, conn_id, run_dag, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__KLING__STORE_ALLOWED_PATHS", str(tmp_path))
    run = run_dag(
        TASKS
        + f"""
@task
def stores():
    return ["{tmp_path}/{{{{ 42 }}}}"]

KlingGenerateOperator.partial(**SUBMIT, payload={{"prompt": "a"}}).expand(store=stores())"""
    )
    assert run.state == "success"
    assert [path.name for path in tmp_path.iterdir()] == ["{{ 42 }}"]


def test_the_name_of_a_file_in_a_folder_is_no_template(sim, conn_id, run_dag, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setenv("AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS", str(tmp_path))
    Image.new("RGB", (512, 512)).save(tmp_path / "{{ 6 * 7 }}.png")
    run = run_dag(
        TASKS
        + f"""
from airflow.providers.common.compat.sdk import ObjectStoragePath

@task
def files():
    return [str(path) for path in ObjectStoragePath("file://{tmp_path}").iterdir()]

ObjectStorageToSegmindOperator.partial(task_id="upload").expand(source=files())"""
    )
    assert run.state == "success"


#: The arguments that data may not name, and what it would have of them.
GUARDS = {
    "adopt_request_id": "abc", "budget": None, "deferrable": False, "history_timeout": 0, "max_cost": None,
    "on_orphaned_intent": "submit", "orphan_grace": 0, "segmind_conn_id": "segmind_default",
    "default_args": {}, "task_group": None, "retries": 9,
    **({"dag": None} if AIRFLOW_3 else {}),  # Airflow 2 cannot end a task without a DAG, whatever fails it
}  # fmt: skip
JOBS = f"""
@task
def jobs():
    named = [{{}}, *({{name: value}} for name, value in GUARDS.items())]
    return [{{"payload": {{"prompt": {DATA!r}}}, **more}} for more in named]
""".replace("GUARDS", repr(GUARDS))


@pytest.mark.attack(
    "What is mapped over names what guards, chooses a key, or takes default_args away", "nothing is sent"
)
def test_data_names_no_argument_that_guards_or_chooses(sim, conn_id, run_dag, capfd, seen):
    run = run_dag(TASKS + JOBS + "KlingSubmitOperator.partial(**SUBMIT).expand_kwargs(jobs(), strict=False)")
    told = capfd.readouterr().out
    seen(f"{run.state}, {len(sim.ledger()['jobs'])} paid")
    assert [job["inputs"]["prompt"] for job in sim.ledger()["jobs"]] == [DATA]  # the one that names nothing else
    for name in GUARDS:
        assert f"{name}: data in expand_kwargs() may set only model, payload of a Kling" in told


MAPPED = {
    "mapped": "jobs().map(lambda job: job)",
    "zipped": "jobs().zip(data(), fillvalue=None).map(lambda pair: pair[0])",
    "joined": "kwargs().concat(bads())",
    "a list of XComs": "[good(), bad(), {'payload': {'prompt': '{{ 7 + 7 }}'}, 'max_cost': 1}]",
}
FEW = f"""
from airflow.providers.common.compat.sdk import timezone

@task
def good():
    return {{"payload": {{"prompt": {DATA!r}}}}}

@task
def bad():
    return {{"payload": {{"prompt": "b"}}, "max_cost": 1}}

@task
def bads():
    return [{{"payload": {{"prompt": "b"}}, "max_cost": 1}}]

@task
def jobs():
    return [{{"payload": {{"prompt": {DATA!r}}}}}, {{"payload": {{"prompt": "b"}}, "max_cost": 1}}]

# Nothing that the author gives, nor what Airflow makes of it, counts as the data's.
SUBMIT |= {{
    "retries": 0, "pool": "default_pool", "start_date": timezone.datetime(2020, 1, 1), "params": {{"a": 1}},
    "doc_md": "a", "execution_timeout": timedelta(minutes=1), "trigger_rule": "all_done", "queue": "q",
    "max_cost": "{{{{ 1 + 1 }}}}",
}}
"""


@pytest.mark.parametrize("form", MAPPED)
def test_data_is_told_apart_however_it_is_put_together(sim, conn_id, run_dag, form):
    run = run_dag(TASKS + FEW + f"KlingSubmitOperator.partial(**SUBMIT).expand_kwargs({MAPPED[form]}, strict=False)")
    assert run.state == "failed"
    authors = ["14"] if form == "a list of XComs" else []
    # On Airflow 2 the instances of a mapped task may run in any order.
    assert sorted(job["inputs"]["prompt"] for job in sim.ledger()["jobs"]) == sorted([DATA, *authors])


def test_the_author_lets_a_task_upstream_choose_by_name(sim, conn_id, run_dag):
    run = run_dag(
        TASKS
        + """
@task
def connections():
    return ["segmind_default"]

KlingSubmitOperator.partial(**SUBMIT, payload={"prompt": "a"}).expand(segmind_conn_id=connections())"""
    )
    assert run.state == "success"
