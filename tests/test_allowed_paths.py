"""Which files are uploaded and where results go: what the DAG's author wrote, or Airflow's config allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from PIL import Image

from airflow_provider_kling.segmind.errors import SegmindInputError, SegmindSettingsError
from airflow_provider_kling.storage.allowed_paths import UPLOAD_ALLOWED_PATHS, Named
from airflow_provider_kling.storage.store import Store

UPLOADS = "AIRFLOW__KLING__UPLOAD_ALLOWED_PATHS"
STORES = "AIRFLOW__KLING__STORE_ALLOWED_PATHS"


@pytest.fixture
def inbox(tmp_path):
    """Return a folder with a picture, and a link to one in the folder beside it, which nobody allowed."""
    for name, colour in (("inbox/mug.png", "red"), ("secret/pin.png", "blue")):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (320, 320), colour).save(tmp_path / name)
    (tmp_path / "inbox/link.png").symlink_to(tmp_path / "secret/pin.png")
    (tmp_path / "inbox/folder").symlink_to(tmp_path / "secret")
    return tmp_path / "inbox"


@pytest.fixture
def out(tmp_path):
    """Return a folder for results, a link in which leads to another one."""
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path / "other")
    return tmp_path / "out"


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def tasks(data, form):
    """Return a DAG's tasks around a form in which somebody else's text gets to an operator."""
    return f"""
from airflow.providers.common.compat.sdk import task_group
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.transfers.object_storage_to_segmind import ObjectStorageToSegmindOperator

@task
def text():
    return {data!r}

@task
def texts():
    return [{data!r}]

@task
def payload():
    return {{"prompt": "@Image1", "image_urls": [{data!r}]}}

@task
def payloads():
    return [{{"prompt": "@Image1", "image_urls": [{data!r}]}}]

@task
def kwargs():
    return [{{"payload": {{"prompt": "@Image1", "image_urls": [{data!r}]}}}}]

@task
def sources():
    return [{{"source": {data!r}}}]

SUBMIT = {{"task_id": "submit", "model": "kling-o1"}}
UPLOAD = {{"task_id": "upload"}}
{form}
"""


def run_form(run_dag, form, data):
    return run_dag(tasks(str(data), form), run_conf={"data": str(data)})


def refused(run, sim, out, words="may not be uploaded"):
    told = next(line for line in out.splitlines() if words in line)
    assert run.state == "failed"
    assert [request["path"] for request in sim.requests() if request["method"] == "POST"] == []
    return told


def submit(value):
    return f'KlingSubmitOperator(**SUBMIT, payload={{"prompt": "@Image1", "image_urls": {value}}})'


FILLED_IN = {
    "expand": "KlingSubmitOperator.partial(**SUBMIT).expand(payload=payloads())",
    "expand_kwargs": "KlingSubmitOperator.partial(**SUBMIT).expand_kwargs(kwargs())",
    "map": """
KlingSubmitOperator.partial(**SUBMIT).expand(
    payload=texts().map(lambda text: {"prompt": "@Image1", "image_urls": [text]}))""",
    "generate": "KlingGenerateOperator.partial(**SUBMIT).expand(payload=payloads())",
    "the whole payload": "KlingSubmitOperator(**SUBMIT, payload=payload())",
    "the whole payload as text": """
KlingSubmitOperator(**SUBMIT, payload="{{ ti.xcom_pull(task_ids='payload') | tojson }}").set_upstream(payload())""",
    "a whole list": submit("texts()"),
    "an XComArg": submit("[text()]"),
    "an XComArg as text": f"""
chosen = text()
{submit('[f"{chosen}"]')}.set_upstream(chosen)""",
    "a template": submit("[\"{{ ti.xcom_pull(task_ids='text') }}\"]") + ".set_upstream(text())",
    "a parameter of the run": submit("[\"{{ dag_run.conf['data'] }}\"]"),
    "behind the root of the disk": submit("[\"/{{ dag_run.conf['data'][1:] }}\"]"),
    "a literal list with an XComArg": """
KlingSubmitOperator.partial(**SUBMIT).expand(payload=[{"prompt": "@Image1", "image_urls": texts()}])""",
    "a task group": """
@task_group
def group(payload):
    KlingSubmitOperator(**SUBMIT, payload=payload)

group.expand(payload=payloads())""",
    "a decorated function": """
@task.kling(model="kling-o1")
def submit(file):
    return {"prompt": "@Image1", "image_urls": [file]}

submit(text())""",
    "a decorated function, expanded": """
@task.kling(model="kling-o1")
def submit(file):
    return {"prompt": "@Image1", "image_urls": [file]}

submit.expand(file=texts())""",
    "upload": "ObjectStorageToSegmindOperator(**UPLOAD, source=text())",
    "upload a list": "ObjectStorageToSegmindOperator(**UPLOAD, source=texts())",
    "upload one of a list": "ObjectStorageToSegmindOperator(**UPLOAD, source=[\"{{ dag_run.conf['data'] }}\"])",
    "upload, expanded": "ObjectStorageToSegmindOperator.partial(**UPLOAD).expand(source=texts())",
    "upload, expanded over kwargs": "ObjectStorageToSegmindOperator.partial(**UPLOAD).expand_kwargs(sources())",
}


@pytest.mark.attack("A file of the worker is named by a run's parameter, an XCom, a mapped value", "it is not uploaded")
@pytest.mark.parametrize("form", FILLED_IN.values(), ids=FILLED_IN)
def test_a_file_that_the_author_did_not_write_is_not_uploaded(sim, conn_id, run_dag, inbox, capfd, seen, form):
    secret = inbox.parent / "secret/pin.png"
    told = refused(run_form(run_dag, form, secret), sim, capfd.readouterr().out)
    assert str(secret) in told
    assert "image_urls.0: " in told or "source: " in told
    assert "Write the folder in the DAG" in told
    assert "[kling] upload_allowed_paths" in told
    seen(told[told.index("may not") :])


@pytest.mark.parametrize("form", ["expand", "an XComArg", "a decorated function", "upload, expanded"])
def test_a_file_in_a_folder_that_the_config_allows_is_uploaded_whoever_names_it(
    sim, conn_id, run_dag, inbox, monkeypatch, form
):
    monkeypatch.setenv(UPLOADS, f"s3://my_aws@bucket/inbox,\n{inbox}")
    run = run_form(run_dag, FILLED_IN[form], inbox / "mug.png")
    assert run.state == "success"
    assert len(sim.uploads()) == 1


@pytest.mark.attack("A link in an allowed folder leads to a file that is not", "it is not uploaded")
@pytest.mark.parametrize("form", ["expand", "an XComArg", "upload, expanded"])
@pytest.mark.parametrize("name", ["link.png", "folder/pin.png", "../secret/pin.png"])
def test_nothing_leads_out_of_a_folder_that_the_config_allows(
    sim, conn_id, run_dag, inbox, monkeypatch, capfd, form, name
):
    monkeypatch.setenv(UPLOADS, str(inbox))
    refused(run_form(run_dag, FILLED_IN[form], inbox / name), sim, capfd.readouterr().out)


#: What the author wrote, INBOX being the folder.
BELOW = {
    "a parameter of the run": submit("[\"INBOX/{{ dag_run.conf['data'] }}\"]"),
    "an XComArg in a text": f"""
chosen = text()
{submit('[f"INBOX/{chosen}"]')}.set_upstream(chosen)""",
    "the URL of a file": f"""
chosen = text()
{submit('[f"file://INBOX/{chosen}"]')}.set_upstream(chosen)""",
    "partial": """
KlingSubmitOperator.partial(
    task_id="submit", payload={"prompt": "@Image1", "image_urls": ["INBOX/{{ dag_run.conf['data'] }}"]}
).expand(model=["kling-o1"])""",
    "expand": """
KlingSubmitOperator.partial(**SUBMIT).expand(
    payload=[{"prompt": "@Image1", "image_urls": ["INBOX/{{ dag_run.conf['data'] }}"]}])""",
    "upload": "ObjectStorageToSegmindOperator(**UPLOAD, source=\"INBOX/{{ dag_run.conf['data'] }}\")",
    "upload one of a list": """
ObjectStorageToSegmindOperator(**UPLOAD, source=["INBOX/{{ dag_run.conf['data'] }}"])""",
}


@pytest.mark.parametrize("form", BELOW)
def test_a_file_in_a_folder_that_the_author_wrote_is_uploaded(sim, conn_id, run_dag, inbox, form):
    assert run_form(run_dag, BELOW[form].replace("INBOX", str(inbox)), "mug.png").state == "success"
    assert len(sim.uploads()) == 1


@pytest.mark.attack("A parameter behind the author's folder leads out of it, by '..' or a link", "it is not uploaded")
@pytest.mark.parametrize("form", ["a parameter of the run", "partial", "upload"])
@pytest.mark.parametrize("name", ["../secret/pin.png", "link.png", "folder/pin.png"])
def test_nothing_leads_out_of_the_authors_folder(sim, conn_id, run_dag, inbox, capfd, form, name):
    refused(run_form(run_dag, BELOW[form].replace("INBOX", str(inbox)), name), sim, capfd.readouterr().out)


@pytest.mark.attack("A pattern leads out of the folder, or finds links in it that do", "they are not uploaded")
@pytest.mark.parametrize("pattern", ["../secret/*.png", "folder/*.png"])
def test_no_pattern_leads_out_of_the_authors_folder(sim, conn_id, run_dag, inbox, capfd, pattern):
    form = BELOW["upload"].replace("INBOX", str(inbox))
    refused(run_form(run_dag, form, pattern), sim, capfd.readouterr().out)
    assert run_form(run_dag, form, "*.png").state == "success"
    assert len(sim.uploads()) == 1


LITERAL = {
    "a path": submit('["FILE"]'),
    "a path object": submit('[__import__("pathlib").Path("FILE")]'),
    "expand": 'KlingSubmitOperator.partial(**SUBMIT).expand(payload=[{"prompt": "a", "image_urls": ["FILE"]}])',
    "expand_kwargs": """
KlingSubmitOperator.partial(**SUBMIT).expand_kwargs([{"payload": {"prompt": "a", "image_urls": ["FILE"]}}])""",
    "partial": """
KlingSubmitOperator.partial(task_id="submit", payload={"prompt": "a", "image_urls": ["FILE"]}).expand(
    model=["kling-o1"])""",
    "upload": 'ObjectStorageToSegmindOperator(**UPLOAD, source="FILE")',
    "upload, expanded": 'ObjectStorageToSegmindOperator.partial(**UPLOAD).expand(source=["FILE"])',
}


@pytest.mark.parametrize("form", LITERAL.values(), ids=LITERAL)
def test_what_the_author_wrote_is_uploaded_its_links_included(sim, conn_id, run_dag, inbox, form):
    assert run_form(run_dag, form.replace("FILE", str(inbox / "link.png")), "").state == "success"
    assert len(sim.uploads()) == 1


def test_a_task_that_waited_in_the_triggerer_still_knows_what_the_author_wrote(sim, conn_id, run_dag, inbox, capfd):
    reset = {"x-rate-limit-reset-at-utc": (datetime.now(tz=UTC) + timedelta(seconds=2)).isoformat()}
    sim.order_fault("respond", method="POST", path="/v2/*", status=429, body={"error": "x"}, headers=reset)
    run = run_form(run_dag, BELOW["partial"].replace("INBOX", str(inbox)), "mug.png")
    assert run.state == "success"
    assert run.task("submit", 0).try_number == 1
    assert "it waits in the triggerer" in capfd.readouterr().out


# --- the rule itself


@pytest.mark.parametrize(
    ("written", "value", "allowed"),
    [
        ("s3://aws@bucket/in/{{ x }}", "s3://aws@bucket/in/a.png", True),
        ("s3://aws@bucket/{{ x }}", "s3://aws@bucket/in/a.png", True),
        ("s3://aws@bucket/in-{{ x }}", "s3://aws@bucket/in-/a.png", True),
        ("s3://aws@bucket/in/{{ x }}", "s3://aws@bucket/in/../a.png", False),
        ("s3://aws@bucket/in/{{ x }}", "s3://aws@bucket/inner/a.png", False),
        ("s3://aws@bucket/in/{{ x }}", "s3://bucket/in/a.png", False),
        ("s3://aws@bucket/in/{{ x }}", "s3://other@bucket/in/a.png", False),
        ("s3://aws@bucket/in/{{ x }}", "gs://aws@bucket/in/a.png", False),
        ("s3://aws@bucket/in/{{ x }}", "s3://aws@bucket/in/a::file:///etc/a.png", False),
        ("s3://aws@{{ x }}/in/a.png", "s3://aws@bucket/in/a.png", False),
        ("s3://{{ x }}", "s3://bucket/a.png", False),
        ("{{ x }}", "{{ y }}", False),
        ("/data/{{ x }}", "/data/a.png", True),
        ("/data/{{ x }}", "file:///data/a.png", True),
        ("/data/{{ x }}", "//data/a.png", True),
        ("/data/{{ x }}", "/data/../data/a.png", False),
        ("/data/{% if x %}../{% endif %}a.png", "/data/../a.png", False),
        ("/{{ x }}", "/data/a.png", False),
        ("//{{ x }}", "//data/a.png", False),
        ("/data/../{{ x }}", "/data/../a.png", False),
        ("file:///{{ x }}", "file:///data/a.png", False),
        ("file://{{ x }}", "file:///data/a.png", False),
        ("/data/a.png", "/data/b.png", False),
        ("/data/a.png", "/data/a.png", True),
        (None, "/data/a.png", False),
    ],
)
def test_a_folder_is_allowed_with_its_storage_its_connection_and_no_way_up(written, value, allowed):
    assert (Named(value).refusal(Named(written), UPLOAD_ALLOWED_PATHS) is None) is allowed


@pytest.mark.parametrize(
    ("written", "value", "allowed"),
    [
        (("s3://bucket/a.png", "aws"), ("s3://bucket/a.png", "aws"), True),
        (("s3://bucket/a.png", "{{ x }}"), ("s3://bucket/a.png", "other"), False),
        (("s3://bucket/{{ x }}", "aws"), ("s3://bucket/a.png", "aws"), True),
        (("s3://bucket/{{ x }}", "{{ x }}"), ("s3://bucket/a.png", "other"), False),
        (("s3://aws@bucket/{{ x }}", "{{ x }}"), ("s3://aws@bucket/a.png", "other"), True),  # which is not used
        (("/data/a.png", "{{ x }}"), ("/data/a.png", "other"), True),
        ((None, None), ("s3://bucket/inbox/a.png", "aws"), True),
        ((None, None), ("s3://aws@bucket/inbox/a.png", None), True),
        ((None, None), ("s3://bucket/inbox/a.png", None), False),
        ((None, None), ("s3://bucket/a.png", "aws"), False),
    ],
)
def test_a_storage_connection_is_a_part_of_the_folder(monkeypatch, written, value, allowed):
    monkeypatch.setenv(UPLOADS, "s3://aws@bucket/inbox")
    assert (Named(*value).refusal(Named(*written), UPLOAD_ALLOWED_PATHS) is None) is allowed


def test_a_folder_in_the_config_that_can_be_none_is_named(monkeypatch):
    monkeypatch.setenv(UPLOADS, "/data, inbox")
    with pytest.raises(SegmindSettingsError, match=r"\[kling\] upload_allowed_paths: 'inbox' in Airflow's config"):
        Named("/elsewhere/a.png").refusal(Named(None), UPLOAD_ALLOWED_PATHS)


# --- where results go

CHOSEN = {
    "the whole destination": "KlingGenerateOperator(**GENERATE, store=\"{{ dag_run.conf['data'] }}\")",
    "a store": 'KlingGenerateOperator(**GENERATE, store=Store("{{ dag_run.conf[\'data\'] }}", name="a.{ext}"))',
    "expand": """
@task
def stores(dag_run=None):
    return [dag_run.conf["data"]]

KlingGenerateOperator.partial(**GENERATE).expand(store=stores())""",
    "behind the root of the disk": "KlingGenerateOperator(**GENERATE, store=\"/{{ dag_run.conf['data'] }}\")",
}
IMPORTS = """
from airflow_provider_kling.operators.kling import KlingGenerateOperator
from airflow_provider_kling.storage.store import Store

GENERATE = {"task_id": "clip", "payload": {"prompt": "a"}, "model": "kling-3-text2image"}
"""


@pytest.mark.attack("A run's parameter chooses the folder for the results", "nothing is paid and nothing written")
@pytest.mark.parametrize("form", CHOSEN.values(), ids=CHOSEN)
def test_a_folder_that_the_author_did_not_write_takes_no_results(sim, conn_id, run_dag, out, capfd, seen, form):
    run = run_dag(IMPORTS + form, run_conf={"data": str(out)})
    told = refused(run, sim, capfd.readouterr().out, "nothing may be saved in")
    assert "destination: " in told
    assert "[kling] store_allowed_paths" in told
    assert names(out) == ["link"]
    seen(told[told.index("nothing may") :])


@pytest.mark.parametrize("form", ["the whole destination", "expand"])
def test_a_folder_that_the_config_allows_takes_results_whoever_names_it(sim, conn_id, run_dag, out, monkeypatch, form):
    monkeypatch.setenv(STORES, str(out))
    assert run_dag(IMPORTS + CHOSEN[form], run_conf={"data": f"{out}/a"}).state == "success"
    assert len(list(out.rglob("*.png"))) == 1


BEHIND = "KlingGenerateOperator(**GENERATE, store=\"OUT/{{ dag_run.conf['data'] }}\")"


def test_a_parameter_may_choose_a_folder_below_the_authors(sim, conn_id, run_dag, out):
    assert run_dag(IMPORTS + BEHIND.replace("OUT", str(out)), run_conf={"data": "shoes"}).state == "success"
    assert len(list((out / "shoes").rglob("*.png"))) == 1


@pytest.mark.attack("A parameter behind the author's destination leads out of it", "nothing is paid, nothing written")
@pytest.mark.parametrize("data", ["../other", "link", "link/deeper", "{{ x }}/../../other"])
def test_no_parameter_leads_out_of_the_authors_destination(sim, conn_id, run_dag, out, capfd, data):
    run = run_dag(IMPORTS + BEHIND.replace("OUT", str(out)), run_conf={"data": data})
    refused(run, sim, capfd.readouterr().out, "destination: ")
    assert names(out.parent / "other") == []


@pytest.mark.attack("A destination file://../x", "it is refused when the DAG is parsed")
@pytest.mark.parametrize("destination", ["file://../x", "file:../x", "file:x", "local://x", "file://host/x", "/a::b"])
def test_a_destination_on_disk_is_absolute(destination):
    with pytest.raises(SegmindInputError, match="destination: "):
        Store(destination)


@pytest.mark.attack("A name holds what looks like a template once it is rendered", "it is refused and nothing is paid")
@pytest.mark.parametrize("data", ["{{/../x}}", "{%/../../x%}", "{{ conn.aws.password }}", "{run_id/../x}"])
def test_a_name_that_was_rendered_is_no_template_any_more(sim, conn_id, run_dag, out, capfd, data):
    form = f'KlingGenerateOperator(**GENERATE, store=Store("{out}", name="a-{{{{ dag_run.conf[\'data\'] }}}}"))'
    refused(run_dag(IMPORTS + form, run_conf={"data": data}), sim, capfd.readouterr().out, "name: ")


@pytest.mark.attack("A link in the destination, under the name of a run, leads elsewhere", "nothing is paid or written")
def test_no_link_below_the_destination_leads_out_of_it(sim, conn_id, run_dag, out, capfd, seen):
    form = f'KlingGenerateOperator(**GENERATE, store=Store("{out}", name="{{{{ dag_run.conf[\'data\'] }}}}/a.{{ext}}"))'
    run = run_dag(IMPORTS + form, run_conf={"data": "link"})
    told = refused(run, sim, capfd.readouterr().out, "leads out of")
    assert names(out.parent / "other") == []
    seen(told[told.index("destination: ") :])
