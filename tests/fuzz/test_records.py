"""Whatever stands where records, claims, bills, descriptions and events are kept, by whomever it was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import strategies as st

from airflow_provider_kling.budget.cost_report import run_cost
from airflow_provider_kling.budget.costs import read_bills, tally
from airflow_provider_kling.budget.guard import BudgetGuard
from airflow_provider_kling.segmind.errors import KlingGenerationFailedError, SegmindError
from airflow_provider_kling.segmind.identifiers import canonical_id, is_request_id
from airflow_provider_kling.segmind.protocol import history
from airflow_provider_kling.storage.lineage import Lineage, describe
from airflow_provider_kling.storage.sidecar import read_sidecar
from airflow_provider_kling.submission import messages
from airflow_provider_kling.submission.history_match import Sent, Window, matches
from airflow_provider_kling.submission.judgement import Take, judge
from airflow_provider_kling.submission.record import Claim, read_claims, read_record, read_withdrawn
from airflow_provider_kling.submission.record_store import RecordStore
from airflow_provider_kling.submission.submission import Submission, fingerprint
from tests.fuzz.harness import fuzz
from tests.fuzz.invariants import assert_amount, assert_fit, assert_told
from tests.fuzz.strategies import ID, LINK, any_text, bodies, encoded, json_values, nearly, values
from tests.fuzz.test_answers import ROW
from tests.fuzz.test_payloads import WORKING

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PAYLOAD = {"prompt": "a fox", "duration": "5"}
RECORD = {
    "version": 2,
    "fingerprint": fingerprint("kling-o1", PAYLOAD),
    "account": "a",
    "model": "kling-o1",
    "intended_at": "2026-11-21T09:59:00Z",
    "price": "$0.56",
    "high": 0.56,
    "funded": False,
    "unclear": True,
    "refused": False,
    "request_id": ID,
    "found": True,
    "accepted_at": "2026-11-21T09:59:01Z",
    "closed": False,
    "cost": 0.56,
    "former": [ID],
    "seen": [],
    "former_cost": 0.1,
    "uploads": {},
}
CLAIM = {"task": "submit", "run": "r", "record": RECORD}
WAITING = {**CLAIM, "task": "other", "record": {**RECORD, "request_id": None, "accepted_at": None}}
BILL = {"request_id": ID, "model": "kling-o1", "cost": 0.56, "failed": False}
SIDECAR = {
    "request_id": ID,
    "model": "kling-o1",
    "payload": PAYLOAD,
    "cost": 0.5,
    "metrics": {"cost": 0.5},
    "url": LINK,
    "inputs": [],
    "index": 0,
    "file": "a.mp4",
    "size": 9,
    "sha256": "0" * 64,
    "type": "video/mp4",
    "dag_id": "d",
    "run_id": "r",
    "task_id": "t",
    "map_index": -1,
    "stored_at": "2026-11-21T10:00:00Z",
}
EVENT = KlingGenerationFailedError("m", request_id=ID, detail="d", blocked=True, metrics={"cost": 0.0}).to_dict()


class Kept:
    def __init__(self, text):
        self.text = text

    def get(self):
        return self.text


def submission(**changed):
    facts = {"model": "kling-o1", "payload": PAYLOAD, "fingerprint": RECORD["fingerprint"], "account": "a"}
    return Submission(**{**facts, "task": "me", "run": "r", "clock": lambda: NOW, **changed})


@fuzz(stored=st.one_of(nearly(RECORD), any_text), as_text=st.booleans())
def test_a_record(stored, as_text):
    store = RecordStore(
        None, Kept(encoded(stored).decode() if as_text else stored if isinstance(stored, str) else None)
    )
    loaded = store.load()
    try:
        record = read_record(loaded if as_text else stored)
    except SegmindError as error:
        assert_told(error)
        return
    if record is not None:
        for amount in (record.high, record.cost, record.former_cost):
            assert_amount(amount)
        Window.after(record.intended_at, timedelta(minutes=10))
        messages.submitting(record)
        messages.searching(record)
        messages.abandoned(record)


@fuzz(shown=st.lists(st.one_of(nearly(CLAIM, WAITING), values), max_size=3), bills=st.lists(nearly(BILL), max_size=3))
def test_the_claims_of_siblings(shown, bills):
    claims, known = read_claims(shown), read_bills(bills)
    read_withdrawn(shown)
    spent = tally(claims, known, {"kling-o1": 0.56})
    for amount in (spent.billed, spent.in_flight):
        assert_amount(amount)
    reckoned = run_cost(claims, known, limit=5.0)
    assert_fit(reckoned.to_dict())
    list(reckoned.lines())
    guard = BudgetGuard(model="kling-o1", high=0.56, chance=lambda: 0.5, limit=1.0, batch="me")
    me = Claim.model_validate({"task": "me", "run": "r", "record": {**RECORD, "request_id": None, "former_cost": 0.0}})
    try:
        guard.judge(me, claims, known)
    except SegmindError as error:
        assert_told(error)


@fuzz(
    40,
    body=bodies({"data": [ROW, ROW]}, {"data": [{**ROW, "request_body": WORKING}]}),
    shown=st.lists(nearly(CLAIM, WAITING), max_size=2),
    sent=st.sampled_from([PAYLOAD, WORKING]),
)
def test_the_history_row_of_a_lost_job(body, shown, sent):
    try:
        rows = history(model="kling-o1", since=NOW, until=NOW).read(200, {}, body).rows
    except SegmindError:
        return
    window = Window.after(NOW, timedelta(minutes=10))
    found = matches(Sent("kling-o1", sent, [window]), rows)
    messages.rows((*found.certain, *found.possible))
    assert all(is_request_id(row.request_id) and row.model_name == "kling-o1" for row in found.certain)
    intent = read_record({**RECORD, "request_id": None, "intended_at": NOW.isoformat(), "former": []})
    try:
        finding = judge(submission(payload=sent), intent, rows, read_claims(shown), NOW + timedelta(minutes=1))
    except SegmindError as error:
        assert_told(error)
        return
    if isinstance(finding, Take):
        held = {job for claim in read_claims(shown) for job in (claim.record.request_id, *claim.record.former)}
        assert is_request_id(finding.row.request_id)
        assert canonical_id(finding.row.request_id) not in held
    elif error := getattr(finding, "error", None):
        assert_told(error)


@fuzz(there=json_values(), here=json_values())
def test_inputs_that_are_compared(there, here):
    page = encoded({"data": [{**ROW, "request_body": {"prompt": there}}]})
    try:
        rows = history(model="kling-o1", since=NOW, until=NOW).read(200, {}, page).rows
    except SegmindError:
        return
    matches(Sent("kling-o1", {"prompt": rows[0].request_body and here if isinstance(here, str) else "x"}, []), rows)


@fuzz(body=bodies(SIDECAR, {**SIDECAR, "inputs": [{"field": "image", "url": LINK, "made": SIDECAR}]}))
def test_a_description_beside_a_file(body):
    fs = MemoryFileSystem()
    fs.pipe_file("/a.json", body)
    sidecar = read_sidecar(fs, "/a.json")
    if sidecar is not None:
        sidecar.to_json()
        sidecar.facts()


@fuzz(body=bodies([{**ROW, "request_body": WORKING}]))
def test_the_description_of_a_job(body):
    try:
        row = history(model=None, since=NOW, until=NOW).read(200, {}, body).rows[0]
    except (SegmindError, IndexError):
        row = None
    made = describe({"request_id": ID, "urls": [LINK], "metrics": {"cost": 0.5}}, LINK, row, Lineage(hook=None))
    assert_fit(json.loads(made.model_dump_json()))
    assert_amount(made.cost)


@fuzz(event=nearly(EVENT, {**EVENT, "class": "SegmindRateLimitError", "reset_at": "2026-11-21T10:00:00+00:00"}))
def test_the_error_in_the_event_of_a_trigger(event):
    error = SegmindError.from_dict(json.loads(encoded(event)) if isinstance(event, dict) else {})
    assert_told(error)
