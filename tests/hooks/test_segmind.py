from __future__ import annotations

import asyncio
import itertools
import json
import logging
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
import requests

from airflow_provider_kling import __version__
from airflow_provider_kling.hooks.segmind import SegmindAsyncHook, SegmindHook
from airflow_provider_kling.segmind import errors
from airflow_provider_kling.segmind.schemas import JobStatus
from tests.conftest import connection_json
from tests.hostile import hostile

HTML = "<!doctype html><title>Bad gateway</title>"


@pytest.fixture
def hook(conn_id):
    return SegmindHook(conn_id)


@pytest.fixture
def payload(pictures):
    return {"prompt": "Merge @Image1 into @Image2", "image_urls": pictures}


def finish(hook, request_id):
    deadline = time.monotonic() + 30
    while not (status := hook.get_status(request_id).status).is_terminal:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return status


def posts(sim):
    return [request for request in sim.requests() if request["method"] == "POST"]


def test_a_job_is_submitted_followed_and_fetched(sim, hook, payload):
    receipt = hook.submit("kling-o1", payload)
    assert finish(hook, receipt.request_id) is JobStatus.COMPLETED
    result = hook.get_result(receipt.request_id)
    assert result.metrics.cost == 0.035
    assert requests.get(result.url, timeout=10).content.startswith(b"\x89PNG")
    assert sim.ledger()["accepted"] == 1
    headers = {name.lower(): value for name, value in posts(sim)[0]["headers"].items()}
    assert headers["user-agent"].startswith(f"airflow-provider-kling/{__version__}")
    assert headers["x-initiator"] == "AIRFLOW-PROVIDER-KLING"
    assert headers["content-type"] == "application/json"
    assert "transfer-encoding" not in headers


def test_a_failed_job_is_an_answer_with_a_reason(sim, hook, payload):
    sim.order_fault("fail_job", error="Content policy violation")
    receipt = hook.submit("kling-o1", payload)
    assert finish(hook, receipt.request_id) is JobStatus.FAILED
    result = hook.get_result(receipt.request_id)
    assert (result.error, result.urls) == ("Content policy violation", ())
    assert sim.ledger()["billed"] == 0


@pytest.mark.parametrize("kind", ["refuse", "reset_before", "reset_after", "truncate"])
def test_a_submit_that_was_sent_and_lost_is_never_sent_again(sim, hook, payload, kind):
    sim.order_fault(kind, method="POST")
    with pytest.raises(errors.SegmindAmbiguousSubmitError, match="request history"):
        hook.submit("kling-o1", payload)
    assert sim.ledger()["accepted"] <= 1
    assert len(posts(sim)) <= 1


@pytest.mark.parametrize("code", [502, 504])
def test_a_gateways_answer_to_a_submit_is_an_unclear_outcome(sim, hook, payload, code):
    sim.order_fault("replace_after", method="POST", status=code, body=HTML)
    with pytest.raises(errors.SegmindAmbiguousSubmitError) as caught:
        hook.submit("kling-o1", payload)
    assert caught.value.status_code == code
    assert "Bad gateway" in caught.value.body
    assert sim.ledger()["accepted"] == 1
    assert len(posts(sim)) == 1


def test_a_submit_that_is_answered_too_late_is_an_unclear_outcome(sim, set_connection, payload):
    sim.order_fault("hold_after", method="POST", seconds=5)
    with pytest.raises(errors.SegmindAmbiguousSubmitError):
        SegmindHook(set_connection(extra={"timeout": 0.3})).submit("kling-o1", payload)
    assert sim.ledger()["accepted"] == 1


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (500, errors.SegmindServerError),
        (503, errors.SegmindServerError),
        (429, errors.SegmindRateLimitError),
        (403, errors.SegmindPermissionError),
        (410, errors.SegmindModelRetiredError),
        (307, errors.SegmindResponseError),
    ],
)
def test_a_refused_submit_is_sent_once_and_not_billed(sim, hook, payload, code, error_class):
    sim.order_fault("respond", method="POST", status=code, headers={"Location": sim.url}, body={"error": "no"})
    with pytest.raises(error_class):
        hook.submit("kling-o1", payload)
    assert len(posts(sim)) == 1
    assert sim.ledger()["accepted"] == 0


@pytest.fixture
def closed():
    """Yield a socket whose port is closed until it listens, and is nobody else's meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


def url_of(sock):
    return "http://{}:{}".format(*sock.getsockname())


@pytest.mark.parametrize("fault", ["port", "name", "tls"])
def test_a_submit_of_which_nothing_left_says_so_and_may_be_repeated(sim, set_connection, payload, closed, fault):
    host = {
        "port": url_of(closed),
        "name": "https://no-such-host.invalid",
        "tls": sim.url.replace("http://", "https://"),
    }[fault]
    hook = SegmindHook(set_connection(host=host))
    with pytest.raises(errors.SegmindConnectionError, match="Nothing was sent") as caught:
        hook.submit("kling-o1", payload)
    assert caught.value.sent is False
    assert sim.ledger()["accepted"] == 0


def test_a_submit_goes_through_once_the_port_opens(sim, set_connection, payload, closed):
    """The first connection is refused; a forwarder opens the port while the hook backs off."""
    hook = SegmindHook(set_connection(host=url_of(closed)))
    target = int(sim.url.rsplit(":", 1)[1])

    async def open_later():
        await asyncio.sleep(0.3)
        server = await asyncio.start_server(forward, sock=closed)
        try:
            return await submitted
        finally:
            server.close()  # from Python 3.12 on, waiting until it is closed waits for the hook's kept connection too

    async def forward(reader, writer):
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target)

        async def pump(source, sink):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer), return_exceptions=True)

    async def main():
        nonlocal submitted
        submitted = asyncio.create_task(asyncio.to_thread(hook.submit, "kling-o1", payload))
        return await open_later()

    submitted = None
    assert asyncio.run(main()).request_id
    assert sim.ledger()["accepted"] == 1


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "respond", "status": 500, "body": {"error": "x"}},
        {"kind": "respond", "status": 502, "body": HTML},
        {"kind": "respond", "status": 503, "body": ""},
        {"kind": "reset_before"},
        {"kind": "refuse"},
        {"kind": "truncate"},
    ],
)
def test_a_get_is_repeated_after_a_passing_fault(sim, hook, caplog, fault):
    details = dict(fault)
    sim.order_fault(details.pop("kind"), method="GET", times=2, **details)
    assert hook.get_credits().total > 0


def test_a_get_waits_for_the_rate_limits_window(sim, hook):
    reset = datetime.now(tz=UTC) + timedelta(seconds=2)
    sim.order_fault(
        "respond",
        method="GET",
        status=429,
        headers={"x-rate-limit-reset-at-utc": reset.isoformat()},
        body={"error": "rate_limit_exceeded"},
    )
    assert hook.get_credits().total > 0
    assert datetime.now(tz=UTC) >= reset
    assert len(sim.requests()) == 2


def test_a_get_holds_no_worker_for_a_window_that_opens_in_half_a_minute(sim, hook):
    reset = (datetime.now(tz=UTC) + timedelta(seconds=30)).isoformat()
    headers = {"x-rate-limit-reset-at-utc": reset}
    sim.order_fault("respond", method="GET", status=429, headers=headers, body={"error": "rate_limit_exceeded"})
    with pytest.raises(errors.SegmindRateLimitError) as caught:
        hook.get_credits()
    assert caught.value.reset_at is not None
    assert len(sim.requests()) == 1


@pytest.mark.parametrize("kind", ["html", "list", "empty", "redirect"])
def test_an_answer_that_is_not_the_apis_is_told_with_its_first_part(sim, hook, kind):
    answer = {
        "html": {"status": 200, "body": HTML},
        "list": {"status": 200, "body": [1]},
        "empty": {"status": 200, "body": ""},
        "redirect": {"status": 307, "headers": {"Location": "https://elsewhere.example/"}, "body": ""},
    }[kind]
    sim.order_fault("respond", method="GET", times=10, **answer)
    with pytest.raises(errors.SegmindResponseError) as caught:
        hook.get_status("2c7f59ea")
    assert "\n" not in str(caught.value)
    assert len(sim.requests()) == 1


def test_the_key_goes_to_the_connections_hosts_only_and_along_no_redirect(sim, conn_id):
    from airflow_provider_kling.simulator import Simulator

    with Simulator(time_scale=400, height=72) as stranger:
        session = SegmindHook(conn_id).get_conn()
        session.get(f"{sim.url}/v1/get-user-credits", timeout=10)
        session.get(f"{stranger.url}/v1/get-user-credits", timeout=10)
        assert [request["key"] for request in sim.requests()] == ["valid"]
        assert [request["key"] for request in stranger.requests()] == ["absent"]
        sim.order_fault("respond", status=302, headers={"Location": f"{stranger.url}/v1/get-user-credits"}, body="")
        session.get(f"{sim.url}/v1/get-user-credits", timeout=10)
        assert [request["key"] for request in stranger.requests()] == ["absent"]


def test_a_netrc_entry_adds_no_password(sim, conn_id, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    SegmindHook(conn_id).get_credits()
    assert "authorization" not in {name.lower() for name in sim.requests()[0]["headers"]}


def test_the_key_is_taken_out_of_an_answer_that_quotes_it(sim, hook):
    sim.order_fault("respond", status=401, body={"error": f"API key {sim.api_key} is invalid"})
    with pytest.raises(errors.SegmindAuthenticationError) as caught:
        hook.get_credits()
    assert sim.api_key not in str(caught.value) + str(caught.value.to_dict())
    assert "API key *** is invalid" in str(caught.value)


def test_the_blocking_call_returns_the_picture_and_what_it_cost(sim, hook, payload):
    made = hook.generate("kling-o1", payload)
    assert made.cost == 0.035
    assert (made.content or b"").startswith(b"\x89PNG") or made.urls
    assert sim.ledger()["accepted"] == 1


def test_files_are_uploaded_and_come_back_as_addresses(sim, hook, tmp_path, pictures):
    picture = tmp_path / "robot.png"
    picture.write_bytes(requests.get(pictures[0], timeout=10).content)
    (url,) = hook.upload([picture])
    assert requests.get(url, timeout=10).content == picture.read_bytes()
    for wrong in (tmp_path / "missing.png", __file__):
        with pytest.raises(errors.SegmindInputError, match="upload:"):
            hook.upload([wrong])
    assert len(posts(sim)) == 1


@pytest.mark.attack("A private key is uploaded under the name of a picture", "it is refused by its content")
@pytest.mark.parametrize("name", ["key.png", "link.png"])
def test_an_upload_is_what_its_content_says_and_not_its_name(sim, hook, tmp_path, seen, name):
    key = tmp_path / "key.png"
    key.write_text("-----BEGIN PRIVATE KEY-----")
    (tmp_path / "link.png").symlink_to(key)
    with pytest.raises(
        errors.SegmindInputError, match=r"upload: .*is no picture, video or sound by its first"
    ) as error:
        hook.upload([tmp_path / name])
    assert posts(sim) == []
    seen(str(error.value).replace(str(tmp_path), ""))


def test_a_picture_is_uploaded_as_what_it_is_whatever_its_name(sim, hook, tmp_path, pictures):
    picture = tmp_path / "robot"
    picture.write_bytes(requests.get(pictures[0], timeout=10).content)
    hook.upload(str(picture))
    assert [upload["content_type"] for upload in sim.uploads()] == ["image/png"]


def test_past_requests_are_found_by_model_and_time(sim, hook, payload):
    before = datetime.now(tz=UTC) - timedelta(minutes=1)
    receipts = [hook.submit("kling-o1", payload) for _ in range(2)]
    for receipt in receipts:
        finish(hook, receipt.request_id)
    rows = hook.find_requests(model="kling-o1", since=before)
    assert {row.request_id.replace("-", "") for row in rows} == {r.request_id.replace("-", "") for r in receipts}
    assert rows[0].request_body == payload
    assert rows[0].cost == 0.035
    assert hook.find_requests(model="kling-o1", since=datetime.now(tz=UTC) + timedelta(minutes=1)) == []
    assert hook.find_requests(model="kling", since=before) == []
    with pytest.raises(errors.SegmindInputError, match="time zone"):
        hook.find_requests(model="kling-o1", since=datetime(2026, 1, 1))  # noqa: DTZ001 is what is refused
    assert hook.find_requests(model="kling-o1", since=before - timedelta(days=60), until=before) == []


def test_a_history_of_any_age_is_asked_for_in_spans_that_segmind_answers(sim, hook, payload):
    hook.submit("kling-o1", payload)
    now = datetime.now(tz=UTC)
    assert len(hook.find_requests(model="kling-o1", since=now - timedelta(days=60))) == 1
    asked = [request for request in sim.requests() if request["path"].endswith("request-history")]
    assert len(asked) == 4  # a page that is empty ends a span, and one that is not has another one after it
    assert hook.find_requests(model="kling-o1", since=now - timedelta(days=60), until=now - timedelta(days=58)) == []
    asked = [request for request in sim.requests() if request["path"].endswith("request-history")]
    assert len(asked) == 5


def test_a_history_that_repeats_its_page_ends_the_search(sim, hook):
    now = datetime.now(tz=UTC)
    rows = [{"request_id": f"r{n}", "model_name": "kling-o1", "model_created": now.isoformat()} for n in range(100)]
    sim.order_fault("respond", path="/inference-request/*", times=99, status=200, body={"data": rows})
    assert len(hook.find_requests(model="kling-o1", since=now - timedelta(minutes=1))) == 100
    assert len(sim.requests()) == 2


@pytest.mark.attack("The history never ends", "it is given up after 100 pages, and nothing is sent again meanwhile")
def test_a_history_without_an_end_is_given_up(set_connection, seen):
    now, pages = datetime.now(tz=UTC), itertools.count()

    def answer(_: bytes) -> bytes:
        page = next(pages)
        rows = [
            {"request_id": f"r{page}-{n}", "model_name": "kling-o1", "model_created": now.isoformat()}
            for n in range(100)
        ]
        body = json.dumps({"data": rows}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    with hostile(answer) as server:
        hook = SegmindHook(set_connection(host=server.url))
        with pytest.raises(errors.SegmindResponseError, match="does not end after 100 pages") as caught:
            hook.find_requests(model="kling-o1", since=now - timedelta(minutes=1))
    assert next(pages) == 100
    seen(caught.value)


def test_the_search_ends_with_the_page_that_goes_back_far_enough(sim, hook):
    now = datetime.now(tz=UTC)
    moments = [now - timedelta(minutes=n) for n in range(100)]
    rows = [{"request_id": f"r{n}", "model_name": "kling-o1", "model_created": f"{at}"} for n, at in enumerate(moments)]
    sim.order_fault("respond", path="/inference-request/*", times=99, status=200, body={"data": rows})
    assert len(hook.find_requests(model="kling-o1", since=now - timedelta(minutes=9.5))) == 10
    assert len(sim.requests()) == 1


def test_a_history_in_another_order_is_read_to_its_end(sim, hook):
    now = datetime.now(tz=UTC)

    def page(*moments):
        return [{"request_id": f"r{at:%d%H%M%S}", "model_name": "kling-o1", "model_created": f"{at}"} for at in moments]

    older = page(*(now - timedelta(hours=150 - n) for n in range(100)))
    for rows in (older, page(now - timedelta(hours=50), now), []):
        sim.order_fault("respond", path="/inference-request/*", status=200, body={"data": rows})
    (found,) = hook.find_requests(model="kling-o1", since=now - timedelta(minutes=9))
    assert found.created_at == now
    assert len(sim.requests()) == 3


def test_a_request_of_any_age_is_found_by_either_form_of_its_id(sim, hook, payload):
    request_id = hook.submit("kling-o1", payload).request_id
    finish(hook, request_id)
    sim.advance(3601)
    past = hook.find_request(request_id)
    assert (past.status, past.url) == ("COMPLETED", sim.ledger()["jobs"][0]["url"])
    assert past.metrics.cost == 0.035
    unknown = {"status": 404, "body": {"error": "not found"}}
    sim.order_fault("respond", path=f"/inference-request/request-history/{request_id}", times=9, **unknown)
    assert hook.find_request(request_id).url == past.url
    with pytest.raises(errors.SegmindRequestNotFoundError):
        hook.find_request("2c7f59ea-13f1-402c-9353-915a2b5a2124")


@pytest.mark.parametrize(
    "shape", [lambda rows: rows, lambda rows: {"data": rows}, lambda rows: {"data": rows[0]}, lambda rows: rows[0]]
)
def test_one_request_of_the_history_is_read_in_any_shape(sim, hook, shape):
    row = {
        "request_id": "r1",
        "model_name": "kling-o1",
        "model_status": "COMPLETED",
        "generation_url": "https://i/1.png",
    }
    sim.order_fault("respond", path="/inference-request/*", status=200, body=shape([row]))
    assert hook.find_request("r1").url == "https://i/1.png"


def test_the_connection_test_spends_nothing_and_says_whose_fault_a_failure_is(sim, conn_id, set_connection, closed):
    good, words = SegmindHook(conn_id).test_connection()
    assert good
    assert "100.00" in words
    bad, words = SegmindHook(set_connection(password="SG_wrong")).test_connection()
    assert not bad
    assert "does not accept the API key" in words
    bad, words = SegmindHook(set_connection(host=url_of(closed))).test_connection()
    assert not bad
    assert "check the network" in words
    bad, words = SegmindHook(set_connection(host="https://api.segmind.com/v2")).test_connection()
    assert not bad
    assert "remove '/v2'" in words
    sim.order_fault("respond", status=500, body={"error": "x"})
    bad, words = SegmindHook(conn_id).test_connection()
    assert not bad
    assert "Segmind has a fault" in words
    assert sim.ledger()["accepted"] == 0


def test_a_connection_that_does_not_exist_is_told_with_the_command_that_makes_it():
    with pytest.raises(errors.SegmindSettingsError, match="airflow connections add nowhere --conn-type segmind"):
        SegmindHook("nowhere").get_credits()


async def test_the_async_hook_reads_the_same_answers(sim, hook, conn_id, payload):
    receipt = await asyncio.to_thread(hook.submit, "kling-o1", payload)
    async with SegmindAsyncHook(conn_id) as looking:
        assert not (await looking.get_status(receipt.request_id)).error
        await asyncio.to_thread(finish, hook, receipt.request_id)
        assert (await looking.get_status(receipt.request_id)).status is JobStatus.COMPLETED
        result = await looking.get_result(receipt.request_id)
        assert result.url == hook.get_result(receipt.request_id).url
        assert (await looking.get_credits()).total == hook.get_credits().total


@pytest.mark.parametrize("kind", ["refuse", "reset_before", "truncate"])
async def test_the_async_hook_tells_a_lost_answer(sim, conn_id, kind):
    sim.order_fault(kind, times=5)
    async with SegmindAsyncHook(conn_id) as looking:
        with pytest.raises(errors.SegmindConnectionError):
            await looking.get_credits()


async def test_the_async_hook_tells_faults_as_the_sync_one_does(sim, conn_id, set_connection, closed):
    async with SegmindAsyncHook(conn_id) as looking:
        sim.order_fault("respond", status=401, body={"error": f"key {sim.api_key} is invalid"})
        with pytest.raises(errors.SegmindAuthenticationError, match=r"key \*\*\* is invalid"):
            await looking.get_credits()
        sim.order_fault("respond", status=302, headers={"Location": sim.url}, body="")
        with pytest.raises(errors.SegmindResponseError, match="redirects"):
            await looking.get_credits()
        with pytest.raises(errors.SegmindRequestNotFoundError):
            await looking.get_status("2c7f59ea")
    async with SegmindAsyncHook("nowhere") as looking:
        with pytest.raises(errors.SegmindSettingsError, match="does not exist"):
            await looking.get_credits()
    async with SegmindAsyncHook(set_connection(host=url_of(closed))) as looking:
        with pytest.raises(errors.SegmindConnectionError, match="Nothing was sent"):
            await looking.get_credits()
    sim.order_fault("delay", seconds=5)
    async with SegmindAsyncHook(set_connection(extra={"timeout": 0.3})) as looking:
        with pytest.raises(errors.SegmindConnectionError, match="no answer"):
            await looking.get_credits()


def test_nothing_that_is_logged_holds_the_key(sim, hook, payload, caplog):
    caplog.set_level(logging.DEBUG)
    sim.order_fault("respond", method="GET", status=500, times=1, body={"error": sim.api_key})
    hook.submit("kling-o1", payload)
    hook.get_credits()
    assert caplog.text
    assert sim.api_key not in caplog.text


def test_a_key_that_was_rotated_while_a_worker_waits_is_read_again(sim, conn_id, monkeypatch):
    hook = SegmindHook(conn_id)
    request_id = hook.submit("kling-o1", {"prompt": "@Image1", "image_urls": [f"{sim.url}/simulator/inputs/robot.png"]})
    sim.rotate_key("SG_another")
    with pytest.raises(errors.SegmindAuthenticationError):
        hook.get_status(request_id.request_id)
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, password="SG_another"))
    assert hook.get_status(request_id.request_id).status in set(JobStatus)


def test_nothing_is_paid_with_another_key_than_the_attempt_began_with(sim, conn_id, monkeypatch):
    hook = SegmindHook(conn_id)
    hook.get_credits()
    sim.rotate_key("SG_another")
    monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", connection_json(sim, password="SG_another"))
    with pytest.raises(errors.SegmindAuthenticationError):
        hook.submit("kling-o1", {"prompt": "@Image1"})
    assert sim.ledger()["accepted"] == 0
