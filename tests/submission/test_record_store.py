from __future__ import annotations

import pytest

from airflow_provider_kling.segmind.errors import SegmindInputError
from airflow_provider_kling.submission.audit_log import Conclusion
from airflow_provider_kling.submission.record import read_record
from airflow_provider_kling.submission.record_store import RecordStore
from tests.submission.test_attempt import ACCEPTED, DELIVERED, INTENT


class State(dict):
    """Task state, as a dict has it."""

    def set(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


class Variable:
    def __init__(self, text=None):
        self.text = text

    def get(self):
        return self.text

    def set(self, value):
        self.text = value

    def delete(self):
        self.text = None


class AuditLog:
    """What Airflow 2 keeps, as a list; whether a success was cleared is the test's to say."""

    def __init__(self):
        self.entries = []
        self.cleared = False

    def add(self, text, *, succeeded):
        self.entries.append((text, succeeded))

    def last(self):
        if not self.entries:
            return None
        text, succeeded = self.entries[-1]
        return Conclusion(text, stands=self.cleared or not succeeded)


def kept(store):
    return read_record(store.load())


@pytest.mark.parametrize(("state", "variable"), [(State(), None), (State(), Variable()), (None, Variable())])
def test_an_undelivered_job_is_found_wherever_its_record_is_kept(state, variable):
    store = RecordStore(state, variable)
    for record in INTENT, ACCEPTED:
        store.save(record)
        assert kept(store) == record
    store.delete()
    assert kept(store) is None


def test_a_clear_that_drops_the_state_leaves_the_record_of_what_is_undelivered_and_no_other():
    state, variable = State(), Variable()
    RecordStore(state, variable).save(ACCEPTED)
    assert kept(RecordStore(State(), variable)) == ACCEPTED
    RecordStore(state, variable).save(DELIVERED)
    assert kept(RecordStore(state, variable)) == DELIVERED
    assert kept(RecordStore(State(), variable)) is None


def test_a_job_of_which_nothing_more_is_wanted_leaves_no_variable_and_lets_a_cleared_task_begin_anew():
    state, variable = State(), Variable()
    store = RecordStore(state, variable)
    store.save(ACCEPTED)
    store.conclude(0.5, succeeded=True)
    assert (kept(store).closed, variable.text) == (True, None)


@pytest.mark.parametrize(
    ("succeeded", "cleared", "delivered"), [(True, False, False), (True, True, True), (False, False, True)]
)
def test_a_success_of_airflow_2_that_is_run_again_without_a_clear_has_its_job_to_deliver(succeeded, cleared, delivered):
    log = AuditLog()
    store = RecordStore(None, Variable(), log)
    store.save(ACCEPTED)
    store.conclude(0.5, succeeded=succeeded)
    assert store.variable.text is None
    log.cleared = cleared
    assert kept(store) == ACCEPTED.model_copy(update={"closed": delivered, "cost": 0.5})
    store.save(INTENT)
    assert kept(store) == INTENT, "what the Variable tells is newer"


def test_what_is_no_record_in_a_variable_is_an_error_and_never_no_record():
    with pytest.raises(SegmindInputError, match="stored record cannot be read"):
        kept(RecordStore(None, Variable("{ no json")))


def test_a_task_keeps_a_variable_in_airflow_itself(run_dag):
    run = run_dag("""
    @task
    def keeps():
        from airflow_provider_kling.submission.airflow_variable import AirflowVariable

        kept = AirflowVariable("kling_test", "a test's")
        told = [kept.get()]
        kept.delete()
        for text in "one", "two":
            kept.set(text)
            told.append(kept.get())
        kept.delete()
        return [*told, kept.get()]

    keeps()
    """)
    assert run.state == "success"
    assert run.xcom("keeps") == [None, "one", "two", None]
