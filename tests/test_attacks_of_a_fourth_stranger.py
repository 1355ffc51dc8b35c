"""What a fourth tester found in half an hour: each fails without its fix."""

from __future__ import annotations

import json

import pytest

from tests.test_allowed_paths import BEHIND, inbox, names, out, submit, tasks  # noqa: F401
from tests.test_allowed_paths import IMPORTS as STORING
from tests.test_attacks_of_a_second_stranger import IMPORTS, KEY, PEAK, alone, forgetful

SAME = "{{ dag_run.conf.data }}"


# 1. what is rendered equals the author's template, and passes for what the author wrote
@pytest.mark.attack("A link has the author's template as its name, and a run fills that in", "it is not followed")
@pytest.mark.parametrize(
    "form",
    [
        submit(f'["INBOX/{SAME}"]'),
        f'ObjectStorageToSegmindOperator(**UPLOAD, source="INBOX/{SAME}")',
    ],
    ids=["submit", "upload"],
)
def test_a_link_that_is_named_as_the_authors_template_is_not_followed(sim, conn_id, run_dag, inbox, form):  # noqa: F811
    (inbox / SAME).symlink_to(inbox.parent / "secret/pin.png")
    run_dag(tasks(SAME, form.replace("INBOX", str(inbox))), run_conf={"data": SAME})
    assert sim.uploads() == []


@pytest.mark.attack("A folder's link has the destination's template as its name", "nothing is saved behind it")
def test_a_link_that_is_named_as_the_destinations_template_is_not_followed(sim, conn_id, run_dag, out):  # noqa: F811
    (out / SAME).symlink_to(out.parent / "other")
    form = f'KlingGenerateOperator(**GENERATE, store="{out}/{SAME}")'
    run_dag(STORING + form, run_conf={"data": SAME})
    assert names(out.parent / "other") == []


# 2. shapes of a row of the history that are taken for another job
SUBMIT = """
KlingSubmitOperator(
    task_id="submit", model="kling-2.6", orphan_grace=1, history_timeout=2, retries=1, deferrable=False,
    payload={"prompt": "a fox", "cfg_scale": 0.7, "generate_audio": True, "tags": ["a", "b", "c"]},
)
"""


def posts_of(run_dag, monkeypatch, told_as, **besides):
    """Return how many POSTs a submit sends whose first reply is lost."""
    with forgetful(told_as, **besides) as (url, posts):
        extra = {"history_host": url, "requests_per_minute": 60_000}
        connection = {"conn_type": "segmind", "host": url, "password": KEY, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", json.dumps(connection))
        run_dag(SUBMIT)
    return len(posts)


@pytest.mark.attack("The history tells numbers, lists and texts in another shape", "no second bill")
@pytest.mark.parametrize(
    "told_as",
    [
        lambda body: {**body, "cfg_scale": 0.699999988079071},  # a float of 32 bits
        lambda body: {**body, "generate_audio": 1},
        lambda body: {**body, "tags": body["tags"][:2]},
        lambda body: {**body, "tags": {"0": "a", "1": "b", "2": "c"}},
        lambda body: {**body, "prompt": {"value": "a fox"}},
    ],
    ids=["float32", "bool as 1", "list cut", "list as object", "text in an object"],
)
def test_a_row_that_is_told_otherwise_pays_nothing_twice(run_dag, monkeypatch, told_as):
    assert posts_of(run_dag, monkeypatch, told_as) == 1


@pytest.mark.attack("A row's model is no model's name, or in another case", "no second bill")
@pytest.mark.parametrize("model", ["", " ", {}, "KLING-2.6"], ids=repr)
def test_a_row_whose_model_cannot_be_read_is_not_overlooked(run_dag, monkeypatch, model):
    assert posts_of(run_dag, monkeypatch, lambda body: body, model_name=model) == 1


@pytest.mark.attack("The history has pages of a few rows, or uneven ones", "it is read to its end")
@pytest.mark.parametrize("sizes", [[5] * 30, [40, 30, 50]], ids=["pages of 5", "pages of 40, 30, 50"])
def test_a_history_of_small_pages_is_read_to_its_end(monkeypatch, sizes):
    from itertools import accumulate

    from tests.test_attacks_of_a_third_stranger import OURS, found, row

    rows = [*(row(number) for number in range(119)), row(request_id=OURS)]
    ends = list(accumulate(sizes, initial=0))

    def answer(page, asked):
        return {"data": rows[ends[page - 1] : ends[page]] if page < len(ends) else []}

    assert OURS in found(monkeypatch, answer)


# 3. one prompt in the history that takes gigabytes when it is compared, and one of one's own that takes minutes
COMPARED = """
import json, os
from datetime import UTC, datetime, timedelta
from tests.hostile import hostile
from airflow_provider_kling.hooks.segmind import SegmindHook
from airflow_provider_kling.submission.history_match import Sent, Window, matches
now = datetime.now(UTC)
rows = ROWS
body = json.dumps({"data": [
    {"request_id": f"2c7f59ea-13f1-402c-9354-{n:012}", "model_name": "kling-2.6", "model_created": now.isoformat(),
     "request_body": {"prompt": prompt}} for n, prompt in enumerate(rows)]}, ensure_ascii=False).encode()
def http(asked):
    return b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body
with hostile(http) as server:
    extra = {"history_host": server.url}
    os.environ["AIRFLOW_CONN_SEGMIND_DEFAULT"] = json.dumps(
        {"conn_type": "segmind", "host": server.url, "password": "sg_0123456789abcdef", "extra": extra})
    found = SegmindHook().find_requests(model="kling-2.6", since=now - timedelta(minutes=5))
import time
began = time.process_time()
matches(Sent("kling-2.6", {"prompt": PROMPT}, [Window.after(now, timedelta(minutes=10))]), found)
took = time.process_time() - began
"""


@pytest.mark.attack("A row's prompt is made of signs that stand for eighteen letters", "it takes little memory")
def test_a_prompt_in_the_history_takes_no_memory_to_speak_of():
    code = COMPARED.replace("ROWS", '["\\ufdfa" * 1_000_000]').replace("PROMPT", '"a fox"')  # 3 MB of 8
    assert int(alone(code + PEAK, seconds=100)) < 500  # MiB


@pytest.mark.attack("A run's prompt has 200 kB, and the history thousands of rows", "it is read once")
def test_a_long_prompt_is_not_read_anew_for_each_row():
    rows = '[f"job {n}" for n in range(400)]'
    code = COMPARED.replace("ROWS", rows).replace("PROMPT", '"a fox " * 33_000')
    assert float(alone(code + "print(took)", seconds=180)) < 5  # of the processor; each anew takes twice as long


# 4. a signed link in a payload that the history quotes as text


# 5. one link beside the result that leads to nothing, to something else or inside costs the paid file
SAVED = """
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "a fox"}}, retries=1, deferrable=False,
    poll_interval=0.2, store="{out}",
)
"""


@pytest.mark.attack("An answer names a private address beside the result", "the result is saved")
@pytest.mark.parametrize("other", ["http://10.0.0.1/thumbnail.png"])
def test_a_link_beside_the_result_costs_no_paid_file(sim, conn_id, run_dag, tmp_path, other):
    picture = f"{sim.url}/simulator/inputs/robot.png"
    # Such as a thumbnail, or an input that is told again.
    body = {"status": "COMPLETED", "output": [other.replace("SIM", sim.url), picture]}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)
    run = run_dag(IMPORTS + SAVED.format(out=tmp_path / "out"))
    assert len(list((tmp_path / "out").rglob("*.png"))) == 1
    assert run.state == "success"


@pytest.mark.attack("An answer names its file in another place", "it is saved")
@pytest.mark.parametrize("name", ["videos", "files", "result"])
def test_a_file_under_another_name_in_the_output_is_saved(sim, conn_id, run_dag, tmp_path, name):
    body = {"status": "COMPLETED", "output": {name: [{"url": f"{sim.url}/simulator/inputs/robot.png"}]}}
    sim.order_fault("respond", method="GET", path="/v2/requests/*", times=99, status=200, body=body)
    run_dag(IMPORTS + SAVED.format(out=tmp_path / "out"))
    assert len(list(tmp_path.rglob("*.png"))) == 1


# 6. texts that are told apart by nobody
NUMBERED = """
KlingSubmitOperator(
    task_id="submit", model="kling-3-text2image", orphan_grace=1, history_timeout=1, retries=2, deferrable=False,
    payload={"prompt": PROMPT},
)
"""


@pytest.mark.attack("Another DAG's prompt is the same number written otherwise", "its job is not taken")
@pytest.mark.parametrize(("theirs", "ours"), [("7", "007"), ("100", "1e2"), ("true", "TRUE")])
def test_a_job_of_another_text_is_not_adopted(sim, conn_id, run_dag, theirs, ours):
    other = run_dag(NUMBERED.replace("PROMPT", repr(theirs)))
    sim.order_fault("reset_before", method="POST", path="/v2/kling-*")
    run = run_dag(NUMBERED.replace("PROMPT", repr(ours)))
    assert run.xcom("submit") != other.xcom("submit")


# 7. found after payment
ALIAS = """
from airflow.sdk import AssetAlias
KlingGenerateOperator(
    task_id="make", model="kling-3-text2image", payload={{"prompt": "a fox"}}, retries=1, outlets=[AssetAlias("clips")],
    store=Store("{out}", name="{{{{ dag_run.conf['title'] }}}}.{{ext}}"),
)
"""


KEPT = """
from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator
@task
def result():
    return {{"request_id": "2c7f59ea-13f1-402c-9353-915a2b5a2124", "url": "{url}", "seed": "1" * 1_100_000}}

SegmindToObjectStorageOperator(
    task_id="keep", result=result(), destination="{out}", name="a.{{ext}}", outlets=[], retries=0
)
"""


# 8. the triggerer: what a sensor's model, which data may choose, leaves there for good; and an end that takes long
@pytest.mark.attack("A wait's model is a long text", "it is not kept")
def test_a_sensors_model_stays_in_no_triggerer(monkeypatch):
    import asyncio
    from datetime import UTC, datetime, timedelta

    from airflow_provider_kling.hooks.segmind_async import SegmindAsyncHook
    from airflow_provider_kling.triggers.kling import KlingTrigger
    from tests.hostile import hostile

    body = b'{"status": "COMPLETED", "output": "https://a.b/c.mp4", "metrics": {"total_time": 5}}'
    deadline = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()

    async def wait():
        for number in range(30):  # runs of one DAG, all for one job
            model = f"{number}" + "x" * 1_000_000
            async for _ in KlingTrigger("abc", deadline=deadline, model=model, segmind_conn_id="segmind_many").run():
                break
        async with SegmindAsyncHook("segmind_many") as hook:
            return sum(map(len, hook.pool.durations._known._seen))

    with hostile(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as server:
        extra = {"requests_per_minute": 60_000}
        connection = {"conn_type": "segmind", "host": server.url, "password": KEY, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_MANY", json.dumps(connection))
        assert asyncio.run(wait()) < 1_000_000


# 9. further shapes of an answer


# 10. params, through expand_kwargs
PARAMS = """
@task
def jobs():  # of a webhook, say
    return [{"payload": {"prompt": "a fox"}, ADDED}]

KlingSubmitOperator.partial(
    task_id="submit", model="kling-3-text2image", params={"limit": 0.01, "conn": "segmind_default"}, retries=0,
    max_cost="{{ params.limit }}", segmind_conn_id="{{ params.conn }}",
).expand_kwargs(jobs())
"""


@pytest.mark.attack("expand_kwargs() brings params of its own, on which max_cost depends", "the task fails, unpaid")
def test_what_is_mapped_over_sets_no_limit_by_params(sim, conn_id, run_dag):
    run_dag(PARAMS.replace("ADDED", ""))
    assert sim.ledger()["jobs"] == []  # control: too dear
    run_dag(PARAMS.replace("ADDED", '"params": {"limit": 100}'))
    assert sim.ledger()["jobs"] == []


@pytest.mark.attack("expand_kwargs() brings params on which the connection depends", "the task fails, unsent")
def test_what_is_mapped_over_chooses_no_key_by_params(sim, set_connection, run_dag, monkeypatch):
    from tests.conftest import connection_json

    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim))
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_OTHERS", connection_json(sim, password="another_teams_key"))
    run_dag(PARAMS.replace("ADDED", '"params": {"conn": "segmind_others"}').replace('"limit": 0.01', '"limit": 1'))
    assert [each["headers"] for each in sim.requests() if "another_teams_key" in str(each)] == []
    assert sim.requests() == []
