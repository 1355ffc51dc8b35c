from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.budget import KlingBudget
from airflow_provider_kling.ledger.owner import Owner
from airflow_provider_kling.ledger.results import JobLedger
from airflow_provider_kling.ledger.task_ledger import TaskLedger
from airflow_provider_kling.segmind.errors import KlingBudgetExceededError, SegmindInputError
from tests.ledger.test_generations import NOW, WANTED, intent, job, rows

MONTH = KlingBudget(max_cost_per_month=3.6)


def task(database, number, *, dag="film", project="spring"):
    owner = Owner(deployment="", dag_id=dag, run_id="one", task=f"submit[{number}]", project=project)
    return TaskLedger(database, owner, WANTED)


def test_of_many_that_ask_at_once_as_many_fit_as_the_limit_has_room_for(database):
    def ask(number):
        try:
            task(database, number, dag=f"dag_{number % 3}").save(intent(), MONTH.periods(NOW))
        except KlingBudgetExceededError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(20))) == 7  # of $0.50 each
    assert len(rows(database)) == 7


def test_a_job_counts_at_most_until_its_bill_is_known_and_a_failed_one_not_at_all(database):
    for number, cost in enumerate([0.1, 0.1, None, 0.0, None]):
        ledger = task(database, number)
        ledger.save(intent())
        ledger.save(intent(request_id=job(number)))
        waiting = JobLedger(database, WANTED.host, job(number), None)
        if number == 3:
            waiting.failed(0.0)
        elif cost is not None:
            waiting.saved([], [])
            ledger.save(intent(request_id=job(number), cost=cost))
    periods = KlingBudget(max_cost_per_day=1.6).periods(NOW)
    with pytest.raises(KlingBudgetExceededError) as raised:
        task(database, 9).save(intent(), periods)
    error = raised.value
    assert (error.limit, error.billed, error.in_flight, error.estimate) == (1.6, 0.2, 1.0, 0.5)
    assert "The budget of 'spring' for 30 November 2026 (UTC) is $1.60: $0.20 is billed" in str(error)
    task(database, 9, project="autumn").save(intent(), periods)
    task(database, 10).save(intent(), KlingBudget(max_cost_per_day=1.7).periods(NOW))


def test_a_task_that_asks_again_does_not_count_its_own_intent(database):
    periods = KlingBudget(max_cost_per_day=0.5).periods(NOW)
    for _ in range(2):
        task(database, 0).save(intent(), periods)


def test_yesterday_does_not_count_for_the_day_but_for_the_month(database):
    task(database, 0).save(intent().model_copy(update={"intended_at": NOW - timedelta(days=1)}))
    task(database, 1).save(intent(), KlingBudget(max_cost_per_day=0.5).periods(NOW))
    with pytest.raises(KlingBudgetExceededError, match="November 2026"):
        task(database, 2).save(intent(), KlingBudget(max_cost_per_month=1.4).periods(NOW))


def test_a_job_of_unknown_cost_stops_the_limit_that_it_could_exceed(database):
    task(database, 0).save(intent().model_copy(update={"high": None}))
    with pytest.raises(KlingBudgetExceededError, match=r"1 other job\(s\) is unknown.*'spring'"):
        task(database, 1).save(intent(), MONTH.periods(NOW))


def test_the_author_is_warned_once_in_a_time(database):
    budget = KlingBudget(max_cost_per_month=2, warn_at=0.5, notifier=print)
    crossed = [task(database, number).save(intent(), budget.periods(NOW)) for number in range(4)]
    assert [[limit.spent for limit in found] for found in crossed] == [[], [1.0], [], []]
    later = datetime(2026, 12, 1, tzinfo=UTC)
    told = [
        task(database, n).save(intent().model_copy(update={"intended_at": later}), budget.periods(later))
        for n in (5, 6)
    ]
    assert [len(found) for found in told] == [0, 1]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"max_cost_per_month": 0},
        {"max_cost_per_dag_run": 1, "warn_at": 0.8},
        {"max_cost_per_day": 1, "warn_at": 80},
        {"max_cost_per_day": 1, "project": ""},
    ],
)
def test_a_budget_that_cannot_work_is_refused_where_it_is_written(arguments):
    with pytest.raises(SegmindInputError):
        KlingBudget(**arguments)
