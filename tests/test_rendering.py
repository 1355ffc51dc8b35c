"""Only what the DAG's author wrote is rendered, once: whatever tasks, files and people fill in is sent as it is."""

from __future__ import annotations

import pytest

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
