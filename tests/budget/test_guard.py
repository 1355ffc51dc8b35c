from __future__ import annotations

import heapq
import itertools
import random
from datetime import timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_kling.budget.costs import Bill, former_cost, read_bills, tally
from airflow_provider_kling.budget.guard import BatchBalance, BudgetGuard, CheckBalance, GiveWay, Hold, Pay
from airflow_provider_kling.segmind.errors import (
    KlingBudgetExceededError,
    SegmindConnectionError,
    SegmindInsufficientCreditsError,
    SegmindServerError,
)
from airflow_provider_kling.segmind.schemas import Receipt
from airflow_provider_kling.submission import steps
from airflow_provider_kling.submission.attempt import attempt
from airflow_provider_kling.submission.record import Claim, withdrawn
from airflow_provider_kling.submission.submission import Submission
from tests.submission.test_attempt import ACCEPTED, DELIVERED, IDS, INTENT, NOW, Play, row

MODEL = "kling-o1"
PRICED = INTENT.model_copy(update={"high": 1.0})


def guard(**fields):
    return BudgetGuard(
        **{"model": MODEL, "high": 1.0, "price": "$1.00", "batch": "submit", "chance": lambda: 0.5, **fields}
    )


def claim(task, **fields):
    return Claim(task=task, record=PRICED.model_copy(update=fields))


ME = claim("submit[0]", funded=True)


def in_flight(number, **fields):
    return claim(f"other[{number}]", request_id=IDS[number], **fields)


def asking(number, later=1.0):
    return claim(f"other[{number}]", intended_at=NOW + timedelta(seconds=later))


# --- one task alone


@pytest.mark.parametrize(("high", "allowed"), [(0.99, True), (1.0, True), (1.0000001, True), (1.001, False)])
def test_a_job_whose_high_figure_is_above_max_cost_is_refused_with_both_figures(high, allowed):
    limited = guard(high=high, max_cost=1.0)
    if allowed:
        limited.refuse_alone()
        return
    with pytest.raises(
        KlingBudgetExceededError, match=r"max_cost is \$1.00, and kling-o1 may cost up to \$1.001"
    ) as told:
        limited.refuse_alone()
    assert (told.value.limit, told.value.estimate) == (1.0, high)
    assert not told.value.retryable


@pytest.mark.parametrize(
    ("limits", "what"), [({"max_cost": 1.0}, "max_cost"), ({"limit": 1.0}, "the budget of the run")]
)
def test_a_job_without_a_price_is_refused_with_advice(limits, what):
    with pytest.raises(KlingBudgetExceededError, match=rf"{what} cannot be enforced.*KlingBudget\(prices=.*kling-o1"):
        guard(high=None, price="not published, $0.91 on average", **limits).refuse_alone()


def test_where_nothing_tells_what_was_spent_a_budget_refuses_and_max_cost_alone_does_not():
    with pytest.raises(KlingBudgetExceededError, match=r"the cost of this loop's earlier iterations is unknown"):
        guard(limit=9.0, blind=True).refuse_alone()
    guard(max_cost=9.0, blind=True).refuse_alone()


def test_a_refusal_sends_nothing_and_leaves_no_trace():
    play = Play(guard=guard(max_cost=0.5), high=1.0)
    with pytest.raises(KlingBudgetExceededError):
        play.run()
    assert play.steps == ["LoadRecord"]


def test_a_job_that_is_adopted_is_never_refused():
    play = Play(ACCEPTED, guard=guard(max_cost=0.5, limit=0.1), high=1.0, siblings=[in_flight(1)])
    assert play.run().request_id == IDS[0]
    looked_up = Play(INTENT, looks=[[row()]], guard=guard(limit=0.1), high=1.0)
    assert looked_up.run().request_id == IDS[0]


# --- the sum of a run

costs = st.floats(0.001, 8.0).map(lambda amount: round(amount, 3))
records = st.builds(
    lambda number, high, state, cost, former: (number, high, state, max(cost, high / 50), former),
    st.integers(1, 10**6),
    costs,
    st.sampled_from(["billed", "failed", "flight", "unclear", "asking"]),
    costs,
    st.sampled_from([0.0, 0.5]),
)


def build(rows):
    claims, bills = [], {}
    for number, high, state, cost, former in rows:
        request_id = f"{number:08d}-0000-4000-8000-000000000000"
        fields = {"high": high, "former_cost": former, "intended_at": NOW + timedelta(seconds=number)}
        if state in {"billed", "failed", "flight"}:
            fields["request_id"] = request_id
        if state in {"billed", "failed"}:
            paid = 0.0 if state == "failed" else cost
            bills[request_id] = Bill(request_id=request_id, cost=paid, failed=state == "failed")
        claims.append(claim(f"t[{number}]", unclear=state == "unclear", **fields))
    return claims, bills


@given(rows=st.lists(records, max_size=8, unique_by=lambda row: row[0]), limit=costs, own=costs, patient=st.booleans())
def test_it_pays_only_when_all_that_it_sees_fits_and_refuses_only_what_cannot_fit(rows, limit, own, patient):
    claims, bills = build(rows)

    def may_cost(states):
        return sum(
            former + {"billed": cost, "failed": 0.0}.get(state, high)
            for _, high, state, cost, former in rows
            if state in states
        )

    settled, everyone = (
        may_cost({"billed", "failed", "flight", "unclear"}),
        may_cost({"billed", "failed", "flight", "unclear", "asking"}),
    )
    try:
        verdict = guard(high=own, limit=limit).judge(ME, claims, bills, patient=patient)
    except KlingBudgetExceededError as error:
        refusal = error.to_dict()
        seen = settled if patient or settled + own > limit else everyone
        assert seen + own > limit
        assert refusal["billed"] + refusal["in_flight"] == pytest.approx(seen, abs=1e-4)
        assert refusal["estimate"] == own
        return
    match verdict:
        case Pay():
            assert everyone + own <= limit + 1e-6
        case Hold() | GiveWay():
            assert patient
            assert settled + own <= limit + 1e-6 < everyone + own + 2e-6


@given(highs=st.lists(costs, min_size=1, max_size=6), limit=costs, settled=st.sampled_from([0.0, 0.5, 1.0]))
def test_of_those_that_ask_at_once_the_first_ones_that_fit_stay_and_all_others_make_room(highs, limit, settled):
    claims = [
        claim(f"t[{number}]", high=high, funded=True, intended_at=NOW + timedelta(seconds=number))
        for number, high in enumerate(highs)
    ]
    gone = [in_flight(1, high=settled)] if settled else []
    sums = list(itertools.accumulate(highs, initial=settled))[1:]
    fits = True
    for me, high, so_far in zip(claims, highs, sums, strict=True):
        others = [other for other in claims if other is not me]
        try:
            verdict = guard(high=high, limit=limit).judge(me, [*gone, *others], {})
        except KlingBudgetExceededError:
            assert settled + high > limit
            fits = False
            continue
        if sums[-1] <= limit - 1e-6:
            assert verdict == Pay()
        elif so_far <= limit - 1e-6 and sums[-1] > limit + 1e-6:
            assert verdict == Hold()
        elif so_far > limit + 1e-6:
            assert verdict == GiveWay()
            fits = False
    if sums[0] <= limit and fits:
        assert sums[-1] <= limit + 1e-6


def test_a_bill_takes_the_place_of_the_estimate_and_a_failed_job_counts_no_more():
    claims = [in_flight(1), in_flight(2), in_flight(3)]
    bills = read_bills(
        [
            {"request_id": IDS[1].replace("-", ""), "cost": 0.25},
            {"request_id": IDS[2], "cost": 0.0, "failed": True},
            {"request_id": IDS[3], "cost": None},
            {"what": "is no bill"},
            7,
        ]
    )
    spent = tally(claims, bills, {})
    assert (spent.billed, spent.billed_jobs, spent.in_flight, spent.in_flight_jobs) == (0.25, 2, 1.0, 1)


def test_what_a_cleared_task_had_before_stays_on_the_bill():
    assert former_cost(None, {}, gone=False) == 0.0
    job = PRICED.model_copy(update={"request_id": IDS[1], "former_cost": 2.0})
    assert former_cost(job, {}, gone=False) == 3.0
    assert former_cost(job, {IDS[1]: Bill(request_id=IDS[1], cost=0.0, failed=True)}, gone=False) == 2.0
    assert former_cost(PRICED, {}, gone=True) == 0.0
    assert former_cost(PRICED, {}, gone=False) == 1.0
    delivered = DELIVERED.model_copy(update={"high": 1.0})
    play = Play(delivered, bills=[Bill(request_id=IDS[0], cost=0.4)], high=1.0)
    assert play.run().former_cost == 0.4


def test_the_refusal_names_every_figure():
    siblings = [in_flight(1), in_flight(2), in_flight(3)]
    bills = {IDS[1]: Bill(request_id=IDS[1], cost=0.26)}
    with pytest.raises(KlingBudgetExceededError) as told:
        guard(limit=3.0).judge(ME, siblings, bills)
    assert str(told.value) == (
        "The budget of this DAG run is $3.00: $0.26 is billed (1 job), up to $2.00 is in flight (2 jobs), and this job "
        "(kling-o1) may cost up to $1.00, which is $0.26 too much. Nothing was sent. Raise max_cost_per_dag_run, or "
        "submit fewer jobs in one run."
    )
    facts = told.value.to_dict()
    assert (facts["limit"], facts["billed"], facts["in_flight"], facts["in_flight_jobs"]) == (3.0, 0.26, 2.0, 2)


def test_a_sibling_that_may_cost_anything_is_named_unless_its_price_is_given():
    siblings = [in_flight(1, high=None, model="kling-99")]
    with pytest.raises(KlingBudgetExceededError, match=r"other\[1\] \(kling-99\).*prices=\{'kling-99': …\}"):
        guard(limit=9.0).judge(ME, siblings, {})
    assert guard(limit=9.0, prices={"kling-99": 2.0}).judge(ME, siblings, {}) == Pay()
    assert guard(limit=9.0).judge(ME, siblings, {IDS[1]: Bill(request_id=IDS[1], cost=0.1)}) == Pay()


def test_what_a_cleared_task_paid_is_in_its_record_when_its_bill_is_deleted():
    for cost in (0.0, 0.4):
        job = PRICED.model_copy(update={"request_id": IDS[1], "closed": True, "cost": cost})
        assert former_cost(job, {}, gone=False) == cost
        told = tally([Claim(task="t", record=job)], {}, {})
        assert (told.billed, told.in_flight) == (cost, 0.0)
    assert former_cost(job, {IDS[1]: Bill(request_id=IDS[1], cost=0.3)}, gone=False) == 0.3


# --- the attempt


@pytest.mark.parametrize("cost", [0.0, 0.2])
def test_what_a_cleared_job_cost_is_asked_where_a_budget_counts_it_and_nothing_else_tells(cost):
    """A limit of 1.5 has room for a second job of up to 1.0 only where the first cost less."""
    left = DELIVERED.model_copy(update={"high": 1.0})
    asked = Play(left, **spend(limit=1.5), funds=BatchBalance(10.0))
    asked.cost = cost
    assert (asked.run().former_cost, asked.steps.count("AskCost")) == (cost, 1)
    recorded = Play(left.model_copy(update={"cost": cost}), **spend(limit=1.5), funds=BatchBalance(10.0))
    assert (recorded.run().former_cost, recorded.steps.count("AskCost")) == (cost, 0)
    bill = Bill(request_id=IDS[0], cost=cost, failed=not cost)  # a COMPLETED job that costs nothing counts at its price
    told = Play(left, **spend(limit=1.5), funds=BatchBalance(10.0), bills=[bill])
    assert (told.run().former_cost, told.steps.count("AskCost")) == (cost, 0)


@pytest.mark.parametrize("answer", [None, SegmindServerError("the history is away")])
def test_a_cleared_job_whose_cost_nobody_tells_counts_at_the_most_it_may_cost(answer):
    play = Play(DELIVERED.model_copy(update={"high": 1.0}), **spend(limit=1.5), funds=BatchBalance(10.0))
    play.cost = answer
    with pytest.raises(KlingBudgetExceededError, match=r"\$1.00 is billed \(1 job\)"):
        play.run()
    assert play.posts == 0


def test_without_a_budget_nobody_asks_what_a_cleared_job_cost():
    play = Play(DELIVERED, **spend(max_cost=2.0), funds=BatchBalance(10.0))
    play.run()
    assert "AskCost" not in play.steps


def spend(**fields):
    return {"guard": guard(**{"batch": "submit", **fields}), "high": fields.get("high", 1.0)}


def test_the_budget_is_asked_after_the_intent_is_shown_and_before_it_is_stored():
    play = Play(**spend(limit=5.0), funds=BatchBalance(10.0))
    assert play.run().funded
    assert play.steps == [
        *("LoadRecord", "CheckPlace", "Publish", "AskSiblings", "AskRunning", "AskSiblings", "AskBills"),
        *("AskBalance", "Publish", "Log", "SaveRecord", "Post", "SaveRecord", "Log", "Deliver"),
    ]


def test_a_task_that_is_refused_takes_its_intent_back_so_that_it_blocks_nobody():
    play = Play(**spend(limit=1.5), siblings=[in_flight(1)])
    with pytest.raises(KlingBudgetExceededError):
        play.run()
    assert play.posts == 0
    assert (play.shown, play.store) == (None, None)
    again = Play(DELIVERED, **spend(limit=1.5), siblings=[in_flight(1)])
    with pytest.raises(KlingBudgetExceededError):
        again.run()
    assert again.shown.record.request_id == IDS[0]


@pytest.mark.parametrize("previous", [None, DELIVERED])
def test_a_submit_that_segmind_refused_counts_no_more(previous):
    refusal = SegmindServerError("HTTP 500", status_code=500)
    play = Play(previous, **spend(limit=5.0), funds=BatchBalance(10.0), post=refusal)
    with pytest.raises(SegmindServerError):
        play.run()
    assert (play.shown.record.request_id, play.shown.record.has_no_job) == (None, True)


def test_siblings_that_never_send_are_waited_for_and_then_named_in_the_refusal():
    play = Play(**spend(limit=1.5), siblings=[asking(1)])
    with pytest.raises(KlingBudgetExceededError, match=r"up to \$1.00 is in flight \(1 job\)"):
        play.run()
    assert timedelta(seconds=90) <= play.now - NOW < timedelta(seconds=110)
    assert play.posts == 0


def test_a_sibling_that_makes_room_lets_the_next_one_pass_with_a_fresh_intent():
    class Changing(Play):
        def carry_out(self, step):
            if isinstance(step, steps.Pause):
                self.siblings = [withdrawn("other[1]", "")]
            return super().carry_out(step)

    play = Changing(**spend(limit=1.5), siblings=[asking(1, later=-1)], funds=BatchBalance(9.0))
    record = play.run()
    assert play.steps.count("Withdraw") == 1
    assert record.intended_at > NOW
    assert play.log[0] == "Other tasks of this run are about to submit; waiting for what they leave."


# --- the balance


def test_the_first_of_a_batch_asks_whether_the_balance_covers_all_of_it():
    check = CheckBalance(started=2, left=float("inf"))
    guard().refuse_for_balance(check, BatchBalance(3.0, batch_size=5))
    with pytest.raises(SegmindInsufficientCreditsError) as told:
        guard().refuse_for_balance(check, BatchBalance(2.5, batch_size=5))
    assert str(told.value) == (
        "The balance is $2.50, and the 3 jobs of 'submit' (kling-o1) may need $3.00. Nothing was sent. Top up at "
        "Segmind; KlingCreditsSensor waits for that."
    )
    assert (told.value.balance, told.value.needed) == (2.5, 3.0)


def test_no_more_balance_is_asked_for_than_the_budget_lets_the_batch_spend():
    check = guard(limit=3.0).judge(claim("submit[0]"), [in_flight(1)], {})
    assert check == CheckBalance(started=0, left=2.0)
    guard().refuse_for_balance(check, BatchBalance(2.0, batch_size=50))


def test_one_of_a_batch_asks_and_the_others_wait_for_it():
    mates = [claim(f"submit[{number}]", intended_at=NOW + timedelta(seconds=number)) for number in range(3)]
    verdicts = [guard(limit=9.0).judge(me, [mate for mate in mates if mate is not me], {}) for me in mates]
    assert verdicts == [CheckBalance(0, 9.0), Hold(), Hold()]
    funded = claim("submit[0]", funded=True)
    assert guard(limit=9.0).judge(mates[1], [funded, mates[2]], {}) == Pay()
    assert guard(limit=9.0).judge(mates[1], [mates[0]], {}, patient=False) == CheckBalance(0, 9.0)


def test_max_cost_alone_asks_for_the_balance_too():
    play = Play(**spend(max_cost=2.0), funds=BatchBalance(0.5))
    with pytest.raises(SegmindInsufficientCreditsError, match=r"The balance is \$0.50, and this job \(kling-o1\)"):
        play.run()
    assert (play.posts, play.shown) == (0, None)


def test_a_balance_that_cannot_be_read_stops_nothing_but_an_account_without_credits_does():
    play = Play(**spend(limit=5.0), funds=SegmindConnectionError("no route"))
    assert play.run().request_id == IDS[8]
    assert play.log[0] == "The balance could not be read before this submit: no route"
    empty = Play(**spend(limit=5.0), funds=SegmindInsufficientCreditsError("no credits on record"))
    with pytest.raises(SegmindInsufficientCreditsError):
        empty.run()
    assert empty.posts == 0


# --- many at once


class Race:
    """Tasks of one run that start at once, each step taking its own time; nobody dies."""

    def __init__(self, highs, limit, seed):
        self.chance = random.Random(seed)  # noqa: S311 no secret
        self.limit = limit
        self.now = NOW
        self.shown = [None] * len(highs)
        self.jobs: dict[str, float] = {}
        self.refused = 0
        self.balance_asked = 0
        self.highs = highs
        self.ids = (f"{number:08d}-0000-4000-8000-000000000000" for number in itertools.count())

    def run(self):
        order = itertools.count()
        attempts = {}
        due = []
        for task, high in enumerate(self.highs):
            attempts[task] = attempt(
                Submission(
                    model=MODEL,
                    payload={"prompt": str(task)},
                    fingerprint=str(task),
                    task=f"submit[{task}]",
                    run="",
                    account="",
                    clock=lambda: self.now,
                    high=high,
                    guard=guard(high=high, limit=self.limit, chance=self.chance.random),
                )
            )
            heapq.heappush(due, (NOW + timedelta(seconds=self.chance.random()), next(order), task, None))
        while due:
            self.now, _, task, step = heapq.heappop(due)
            try:
                # What a step does happens somewhere within the time that it takes.
                step = attempts[task].send(None if step is None else self.carry_out(task, step))
            except StopIteration:
                continue
            except KlingBudgetExceededError:
                self.refused += 1
                continue
            takes = step.seconds if isinstance(step, steps.Pause) else self.chance.uniform(0.001, 0.3)
            heapq.heappush(due, (self.now + timedelta(seconds=takes), next(order), task, step))
        return self

    def carry_out(self, task, step):
        match step:
            case steps.Publish(claim=shown) | steps.Deliver(claim=shown):
                self.shown[task] = shown.model_dump(mode="json")
            case steps.Withdraw():
                self.shown[task] = withdrawn(f"submit[{task}]", "")
            case steps.AskRunning():
                return []
            case steps.AskSiblings():
                return [shown for shown in self.shown if shown]
            case steps.AskBills():
                return []
            case steps.AskBalance():
                self.balance_asked += 1
                return BatchBalance(1000.0)
            case steps.Post():
                request_id = next(self.ids)
                self.jobs[request_id] = self.highs[task]
                assert sum(self.jobs.values()) <= self.limit + 1e-6
                return Receipt(request_id=request_id)
        return None


@settings(deadline=None, max_examples=150)
@given(count=st.integers(1, 24), affordable=st.integers(0, 24), seed=st.integers(0, 2**32))
@example(count=24, affordable=2, seed=5489)  # many that showed an intent by turns kept the first one from going
def test_tasks_that_start_at_once_use_the_budget_up_and_never_break_it(count, affordable, seed):
    race = Race([0.5] * count, 0.5 * affordable + 0.25, seed).run()
    assert len(race.jobs) == min(count, affordable)
    assert race.refused == count - len(race.jobs)
    assert bool(race.balance_asked) == bool(race.jobs)


def test_a_batch_asks_for_the_balance_about_once():
    asked = [Race([0.5] * 20, 100.0, seed).run().balance_asked for seed in range(100)]
    assert min(asked) == 1
    assert sum(asked) <= 125  # two that start in the same instant may not see each other


@settings(deadline=None, max_examples=150)
@given(highs=st.lists(costs, min_size=1, max_size=12), limit=costs, seed=st.integers(0, 2**32))
def test_jobs_of_any_price_never_break_the_budget_and_what_would_fit_alone_is_not_all_refused(highs, limit, seed):
    race = Race(highs, limit, seed).run()
    assert len(race.jobs) + race.refused == len(highs)
    assert bool(race.jobs) == (min(highs) <= limit)


# --- siblings that Airflow is just starting again


class Starting(Play):
    """A sibling that delivered a job for a dollar was cleared too: it runs, and shows its record after a while."""

    running = ("submit", "submit[1]")
    shows_after = 3

    def carry_out(self, step):
        if isinstance(step, steps.AskSiblings):
            self.shows_after -= 1
            self.siblings = [] if self.shows_after else [self.cleared.model_dump(mode="json")]
        return super().carry_out(step)


CLEARED = claim("submit[1]", request_id=IDS[0], closed=True, cost=1.0)


def test_a_sibling_that_was_cleared_too_is_waited_for_until_it_shows_what_it_has_spent():
    play = Starting(**spend(limit=1.5))
    play.cleared = CLEARED
    with pytest.raises(KlingBudgetExceededError, match=r"\$1.00 is billed \(1 job\)"):
        play.run()
    assert play.posts == 0
    assert play.log == ["Other tasks of this run are just starting; waiting for what they have spent."]


def test_what_a_sibling_has_spent_stays_known_while_airflow_starts_it_again():
    class Vanishing(Play):
        def carry_out(self, step):
            if isinstance(step, steps.Pause):
                self.siblings = [each for each in self.siblings if each["task"] != CLEARED.task]
            return super().carry_out(step)

    play = Vanishing(**spend(limit=2.5), siblings=[CLEARED, asking(2, later=-1)])
    with pytest.raises(KlingBudgetExceededError, match=r"\$1.00 is billed \(1 job\), up to \$1.00 is in flight"):
        play.run()


def test_a_sibling_that_shows_nothing_is_not_waited_for_forever():
    play = Starting(**spend(limit=1.5), funds=BatchBalance(9.0))
    play.shows_after = 10**9
    assert play.run().request_id == IDS[8]
    assert timedelta(seconds=90) <= play.now - NOW < timedelta(seconds=110)
