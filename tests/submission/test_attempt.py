from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_kling.segmind.errors import (
    SegmindAmbiguousSubmitError,
    SegmindAuthenticationError,
    SegmindBadRequestError,
    SegmindConnectionError,
    SegmindError,
    SegmindInputError,
    SegmindRateLimitError,
    SegmindServerError,
    SegmindUnresolvedSubmitError,
)
from airflow_provider_kling.segmind.history import HistoryRow
from airflow_provider_kling.segmind.schemas import Receipt
from airflow_provider_kling.submission import steps
from airflow_provider_kling.submission.attempt import attempt
from airflow_provider_kling.submission.record import Claim, Record, read_record, withdrawn
from airflow_provider_kling.submission.submission import Submission, account, fingerprint

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PAYLOAD = {"prompt": "a fox", "duration": 5}
WANTED = fingerprint("kling-o1", PAYLOAD)
ACCOUNT = account("https://api.segmind.com", "k")
IDS = [f"0000000{number}-0000-4000-8000-000000000000" for number in range(9)]
INTENT = Record(fingerprint=WANTED, account=ACCOUNT, model="kling-o1", intended_at=NOW, price="$0.035")
ACCEPTED = INTENT.model_copy(update={"request_id": IDS[0], "accepted_at": NOW})
DELIVERED = ACCEPTED.model_copy(update={"closed": True})


def row(request_id=IDS[0], created=NOW, body=None, **fields):
    return HistoryRow(
        request_id=request_id.replace("-", ""),
        model_name="kling-o1",
        model_created=created,
        request_body=repr(body or {**PAYLOAD, "duration": "5"}),
        model_status="PENDING",
        **fields,
    )


class Play:
    """An attempt, with what Airflow and Segmind would answer, and what a user would count."""

    #: The jobs that the account's history knows, or why it cannot be asked.
    owns = ()
    #: The siblings that run now.
    running = ()
    #: What tasks of other runs show.
    strangers = ()
    #: What the account's history says that a job cost, or why it cannot be asked.
    cost = None
    #: How long the history takes to answer.
    slow = timedelta(0)

    def __init__(
        self,
        record=None,
        *,
        at=NOW,
        post=None,
        looks=(),
        siblings=(),
        bills=(),
        funds=None,
        broken=(),
        **fields,
    ):
        self.store = None if record is None else record.model_dump(mode="json")
        self.now = at
        self.posted = post or Receipt(request_id=IDS[8])
        self.looks = list(looks)
        self.siblings = [claim.model_dump(mode="json") for claim in siblings]
        self.bills = [bill.model_dump(mode="json") for bill in bills]
        self.funds = funds
        self.shown = None
        self.broken = broken
        self.log: list[str] = []
        self.steps: list[str] = []
        fields.setdefault("price", "$0.035")
        self.submission = Submission(
            model="kling-o1",
            payload=PAYLOAD,
            fingerprint=WANTED,
            task="submit",
            run="",
            **{"account": ACCOUNT, **fields},
            clock=lambda: self.now,
        )

    def run(self):
        steps_of = attempt(self.submission)
        step = next(steps_of)
        while True:
            self.steps.append(type(step).__name__)
            try:
                try:
                    answer = self.carry_out(step)
                except Exception as exc:  # noqa: BLE001 because the attempt says what each failure means
                    step = steps_of.throw(exc)
                else:
                    step = steps_of.send(answer)
            except StopIteration as end:
                return end.value

    def carry_out(self, step):
        if type(step).__name__ in self.broken and not getattr(step, "leave_out", False):
            raise RuntimeError("the API server is away")
        stored = {
            "LoadRecord": self.store,
            "AskSiblings": self.siblings,
            "AskOtherRuns": self.strangers,
            "AskBills": self.bills,
            "AskRunning": self.running,
        }
        if type(step).__name__ in stored:
            return stored[type(step).__name__]
        match step:
            case steps.SaveRecord(record=record):
                self.store = record.model_dump(mode="json")
            case steps.DeleteRecord():
                self.store = None
            case steps.Publish() | steps.Withdraw():
                self.shown = getattr(step, "claim", None)
            case steps.Post() | steps.AskBalance() | steps.SearchHistory() | steps.AskOwner() | steps.AskCost():
                return self.ask_segmind(step)
            case steps.Pause(seconds=seconds):
                self.now += timedelta(seconds=seconds)
            case steps.Log(line=line):
                self.log.append(line)
        return None

    def ask_segmind(self, step):
        match step:
            case steps.Post():
                answer = self.posted
            case steps.AskBalance():
                answer = self.funds
            case steps.AskCost():
                answer = self.cost
            case steps.AskOwner(request_id=request_id):
                self.now += self.slow
                answer = self.owns if isinstance(self.owns, Exception) else request_id in self.owns
            case steps.SearchHistory():
                self.now += self.slow
                answer = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def posts(self):
        return self.steps.count("Post")


def test_without_a_record_the_intent_is_stored_then_sent_then_the_id_stored_before_anything_else():
    play = Play()
    record = play.run()
    assert record.request_id == IDS[8]
    assert play.steps == [
        "LoadRecord",
        "CheckPlace",
        "Publish",
        "Log",
        "SaveRecord",
        "Post",
        "SaveRecord",
        "Log",
        "Deliver",
    ]
    assert read_record(play.store) == record
    assert not record.closed  # which only Airflow tells, once it has counted the task as successful


def test_an_attempt_adopts_the_job_of_the_one_before_it_as_long_as_that_was_not_counted_as_successful():
    play = Play(ACCEPTED)
    assert play.run() == ACCEPTED
    assert play.posts == 0


def test_after_a_success_a_new_job_is_submitted_and_the_old_one_remembered():
    play = Play(DELIVERED)
    assert play.run().former == (IDS[0],)
    assert play.posts == 1


def test_a_young_intent_is_looked_up_and_adopted():
    play = Play(INTENT, at=NOW + timedelta(minutes=1), looks=[[], [row()]])
    assert play.run().request_id == IDS[0]
    assert play.posts == 0


def test_a_young_intent_that_the_history_does_not_show_is_looked_up_for_a_while_and_then_later_again():
    play = Play(INTENT, at=NOW + timedelta(minutes=1), looks=[[]])
    with pytest.raises(SegmindAmbiguousSubmitError) as caught:
        play.run()
    assert caught.value.retryable
    assert play.posts == 0
    assert play.now == NOW + timedelta(minutes=1, seconds=15)
    assert caught.value.look_again_at == (NOW + timedelta(minutes=2, seconds=30)).isoformat()
    assert play.steps.count("SearchHistory") == 5
    assert read_record(play.store) == INTENT
    assert str(caught.value) == (
        "Whether the submit of kling-o1 at 2026-11-21 10:00:00 UTC was accepted is unknown: Segmind's request history "
        "shows nothing of it yet. At most one job runs and is billed (price: $0.035); nothing more was sent. A retry, "
        "or clearing this task, searches the history again: if the job is there it takes it and sends nothing; if it "
        "is not, it submits it again from 2026-11-21 10:10:00 UTC on."
    )


@pytest.mark.parametrize(
    ("record", "fields"),
    [(INTENT, {}), (ACCEPTED, {"account": account("https://api.segmind.com", "rotated")})],
    ids=["an intent", "a job of another key"],
)
def test_a_look_that_was_asked_for_before_the_grace_was_over_and_answered_after_it_is_taken_again(record, fields):
    play = Play(record, at=NOW + timedelta(minutes=9, seconds=59), looks=[[]], history_timeout=timedelta(0), **fields)
    play.slow = timedelta(seconds=2)
    with pytest.raises(SegmindAmbiguousSubmitError) as caught:
        play.run()
    assert caught.value.look_again_at == play.now.isoformat()
    assert play.posts == 0


def test_an_old_intent_that_the_history_does_not_show_is_submitted_anew():
    play = Play(INTENT, at=NOW + timedelta(minutes=10), looks=[[]])
    assert play.run().request_id == IDS[8]
    assert (play.posts, play.steps.count("SearchHistory")) == (1, 1)


def test_an_old_intent_that_the_history_shows_is_adopted():
    play = Play(INTENT, at=NOW + timedelta(hours=3), looks=[[row()]])
    assert play.run().request_id == IDS[0]
    assert play.posts == 0


def test_an_old_intent_fails_where_the_user_wants_to_decide():
    play = Play(INTENT, at=NOW + timedelta(minutes=10), looks=[[]], on_orphaned_intent="fail")
    with pytest.raises(SegmindUnresolvedSubmitError, match=r'on_orphaned_intent="submit".*adopt_request_id') as caught:
        play.run()
    assert not caught.value.retryable
    assert play.posts == 0


def test_with_a_longer_grace_a_job_that_was_taken_up_late_is_found():
    late = row(created=NOW + timedelta(minutes=12))
    play = Play(INTENT, at=NOW + timedelta(minutes=13), looks=[[late]], grace=timedelta(hours=1))
    assert play.run().request_id == IDS[0]
    assert play.posts == 0


def test_several_rows_are_listed_and_none_is_taken():
    rows = [row(IDS[0]), row(IDS[1], NOW + timedelta(seconds=5))]
    young = Play(INTENT, looks=[rows])  # one may be held by a sibling that is just being started again
    with pytest.raises(SegmindAmbiguousSubmitError, match=f"2 jobs in .* may be it: {IDS[0]}") as waits:
        young.run()
    assert waits.value.look_again_at is not None
    play = Play(INTENT, at=NOW + timedelta(minutes=10), looks=[rows])
    with pytest.raises(SegmindUnresolvedSubmitError, match="Set adopt_request_id") as caught:
        play.run()
    assert caught.value.candidates == IDS[:2]
    assert all(request_id in str(caught.value) for request_id in IDS[:2])
    assert play.posts == young.posts == 0


def test_what_sibling_tasks_hold_or_held_is_left_out():
    rows = [row(request_id) for request_id in IDS[:3]]
    siblings = [
        Claim(task="submit[1]", record=DELIVERED.model_copy(update={"request_id": IDS[1]})),
        Claim(task="submit[2]", record=INTENT.model_copy(update={"fingerprint": "other", "former": (IDS[2],)})),
    ]
    play = Play(INTENT, looks=[rows], siblings=siblings)
    assert play.run().request_id == IDS[0]


def test_what_this_task_had_before_it_was_cleared_is_never_adopted_again():
    play = Play(INTENT.model_copy(update={"former": (IDS[0],)}), at=NOW + timedelta(minutes=10), looks=[[row()]])
    assert play.run().request_id == IDS[8]


def test_a_cleared_task_that_has_forgotten_its_jobs_takes_none_of_them_for_its_new_one():
    lost = SegmindAmbiguousSubmitError("no answer")
    play = Play(None, forgotten=True, post=lost, looks=[[row()], [row()], [row(), row(IDS[1], NOW)]])
    record = play.run()
    assert (record.request_id, record.seen) == (IDS[1], (IDS[0],))
    assert play.posts == 1
    unread = Play(None, forgotten=True, looks=[SegmindServerError("HTTP 500.")])
    assert unread.run().request_id == IDS[8]
    assert "could not be read: HTTP 500." in unread.log[0]


def test_a_refused_task_leaves_a_job_that_may_be_a_siblings_until_that_has_its_reply():
    refused = INTENT.model_copy(update={"refused": True})
    sending = INTENT.model_copy(update={"intended_at": NOW + timedelta(seconds=9)})
    looking = INTENT.model_copy(update={"intended_at": NOW, "unclear": True})
    refused = refused.model_copy(update={"intended_at": NOW - timedelta(seconds=9)})
    for record in (sending, looking):
        sibling = Claim(task="submit[1]", record=record)
        play = Play(refused, looks=[[row()]], siblings=[sibling])
        with pytest.raises(SegmindAmbiguousSubmitError, match=r"may be the job of submit\[1\]"):
            play.run()
        assert play.posts == 0
    held = sibling.model_copy(update={"record": ACCEPTED})
    assert Play(refused, looks=[[row()]], siblings=[held]).run().request_id == IDS[8]


def test_siblings_that_want_the_same_take_one_job_each_by_whose_intent_is_nearest():
    other = INTENT.model_copy(update={"unclear": True, "intended_at": NOW + timedelta(seconds=30)})
    sibling = Claim(task="submit[1]", record=other)
    late = row(IDS[1], NOW + timedelta(seconds=31))
    play = Play(INTENT, looks=[[late], [late, row(IDS[0])]], siblings=[sibling])
    assert play.run().request_id == IDS[0]
    waiting = Play(INTENT, looks=[[late]], siblings=[sibling])
    with pytest.raises(SegmindAmbiguousSubmitError, match=r"may be the job of submit\[1\]"):
        waiting.run()


def test_a_job_may_be_one_that_a_sibling_holds_which_was_just_started_and_shows_nothing_yet():
    theirs = Claim(task="submit[1]", record=DELIVERED)

    class Starting(Play):
        running = ("submit", "submit[1]")

        def carry_out(self, step):
            if isinstance(step, steps.Pause):
                self.siblings = [theirs.model_dump(mode="json")]
            return super().carry_out(step)

    play = Starting(INTENT, at=NOW + timedelta(minutes=11), looks=[[row()]])
    assert play.run().request_id == IDS[8]  # theirs is left to them, and there was no other
    assert play.posts == 1

    play = Play(INTENT, looks=[[row()]], history_timeout=timedelta(0))
    play.running = ("submit", "submit[1]")
    with pytest.raises(SegmindAmbiguousSubmitError, match=r"the job of submit\[1\], which runs") as caught:
        play.run()
    assert caught.value.look_again_at == (NOW + timedelta(seconds=15)).isoformat()

    play.siblings = [withdrawn("submit[1]", "")]
    assert play.run().request_id == IDS[0]


def test_a_sibling_that_runs_and_never_shows_anything_is_named_long_after_the_grace():
    play = Play(INTENT, at=NOW + timedelta(minutes=20), looks=[[row()]])
    play.running = ("submit", "submit[1]")
    with pytest.raises(SegmindUnresolvedSubmitError, match=r"still not known: it may be the job of submit\[1\]"):
        play.run()
    assert play.posts == 0


def test_other_runs_that_cannot_be_asked_keep_a_search_from_guessing_until_long_after_the_grace():
    def play(record, **fields):
        return Play(record, looks=[[row()]], broken=["AskOtherRuns"], **fields)

    for minutes in 0, 11, 19:
        search = play(INTENT, at=NOW + timedelta(minutes=minutes), history_timeout=timedelta(0))
        with pytest.raises(
            SegmindAmbiguousSubmitError, match=r"other runs .* read \(the API server is away\)"
        ) as caught:
            search.run()
        assert caught.value.look_again_at is not None
        assert (search.posts, search.store) == (0, INTENT.model_dump(mode="json"))
    long_after = play(INTENT, at=NOW + timedelta(minutes=20))
    assert (long_after.run().request_id, long_after.posts) == (IDS[0], 0)
    known = play(ACCEPTED)
    assert (known.run().request_id, known.posts) == (IDS[0], 0)


def test_a_search_goes_on_once_other_runs_can_be_asked_and_leaves_their_jobs_to_them():
    class Away(Play):
        def carry_out(self, step):
            if isinstance(step, steps.Pause):
                self.broken = ()
            return super().carry_out(step)

    theirs = Claim(task="submit", run="another", record=DELIVERED)
    play = Away(INTENT, at=NOW + timedelta(minutes=11), looks=[[row()]], broken=["AskOtherRuns"])
    play.strangers = [theirs.model_dump(mode="json")]
    assert (play.run().request_id, play.posts) == (IDS[8], 1)


@pytest.mark.parametrize(("sibling", "lets_go", "posts"), [("a", False, 1), ("z", True, 0), ("z", False, 1)])
def test_of_two_that_take_a_job_in_one_moment_the_first_by_name_goes_on_once_the_other_has_let_go(
    sibling, lets_go, posts
):
    theirs = Claim(task=sibling, record=ACCEPTED.model_copy(update={"found": True}))

    class Together(Play):
        def carry_out(self, step):
            if isinstance(step, steps.Publish) and step.claim.record.found:
                self.siblings = [theirs.model_dump(mode="json")]
            if isinstance(step, steps.Pause) and lets_go:
                self.siblings = []
            return super().carry_out(step)

    play = Together(INTENT, at=NOW + timedelta(minutes=11), looks=[[row()]])
    play.run()
    assert play.posts == posts


def test_while_a_sibling_is_still_sending_the_same_no_job_is_taken():
    play = Play(INTENT, looks=[[row()]], siblings=[Claim(task="submit[1]", record=INTENT)])
    with pytest.raises(SegmindAmbiguousSubmitError, match=r"may be the job of submit\[1\]"):
        play.run()
    assert play.posts == 0


@pytest.mark.parametrize("record", [ACCEPTED, DELIVERED], ids=["retried", "cleared"])
def test_a_job_that_a_sibling_took_while_this_task_was_gone_is_left_to_it_and_its_own_is_looked_for(record):
    taken = {"intended_at": NOW - timedelta(minutes=5), "found": True}
    taker = Claim(task="submit[1]", record=DELIVERED.model_copy(update=taken))
    left = row(IDS[1], NOW - timedelta(minutes=5))
    play = Play(record, looks=[[left, row(IDS[0])]], siblings=[taker])
    assert play.run().request_id == IDS[1]
    assert play.posts == 0


@pytest.mark.parametrize("body", [{"prompt": "a fox"}, {**PAYLOAD, "mode": "pro"}])
def test_a_row_that_may_be_it_is_never_taken_and_never_forgotten(body):
    young = Play(INTENT, looks=[[row(body=body)]])
    with pytest.raises(SegmindAmbiguousSubmitError, match="only what may be it"):
        young.run()
    old = Play(INTENT, at=NOW + timedelta(minutes=10), looks=[[row(body=body)]])
    with pytest.raises(SegmindUnresolvedSubmitError, match=IDS[0]):
        old.run()
    assert young.posts == old.posts == 0


def test_a_history_that_cannot_be_read_is_no_reason_to_send():
    for age in (timedelta(0), timedelta(hours=1)):
        play = Play(INTENT, at=NOW + age, looks=[SegmindServerError("HTTP 500.")])
        with pytest.raises(SegmindAmbiguousSubmitError, match=r"cannot be read: HTTP 500\. At most one job"):
            play.run()
        refused = Play(INTENT, at=NOW + age, looks=[SegmindAuthenticationError("HTTP 401.")])
        with pytest.raises(SegmindUnresolvedSubmitError, match="HTTP 401"):
            refused.run()
        assert play.posts == refused.posts == 0


def test_a_history_that_comes_back_is_read():
    play = Play(INTENT, looks=[SegmindServerError("HTTP 500."), [row()]])
    assert play.run().request_id == IDS[0]


def test_an_unclear_answer_is_looked_up_in_the_same_attempt():
    play = Play(post=SegmindAmbiguousSubmitError("reset"), looks=[[], [], [row()]])
    assert play.run().request_id == IDS[0]
    assert play.posts == 1


def test_one_attempt_never_sends_twice_not_even_when_the_grace_is_over():
    play = Play(post=SegmindAmbiguousSubmitError("reset"), looks=[[]], grace=timedelta(0))
    with pytest.raises(SegmindAmbiguousSubmitError):
        play.run()
    assert play.posts == 1


@pytest.mark.parametrize("error", [SegmindAuthenticationError("HTTP 401", status_code=401), SegmindConnectionError("")])
@pytest.mark.parametrize("previous", [None, DELIVERED])
def test_a_submit_that_is_refused_for_certain_leaves_the_record_as_it_was(previous, error):
    play = Play(previous, post=error)
    with pytest.raises(type(error)):
        play.run()
    assert read_record(play.store) == previous


def test_a_refusal_that_is_not_in_segminds_form_is_searched_for_once_before_the_next_post():
    error = SegmindBadRequestError("HTTP 424", status_code=424)
    error.may_be_accepted = True
    refused = Play(post=error)
    with pytest.raises(SegmindBadRequestError):
        refused.run()
    kept = read_record(refused.store)
    assert kept.refused
    accepted, none = Play(kept, looks=[[row()]]), Play(kept, looks=[[]])
    assert (accepted.run().request_id, none.run().request_id) == (IDS[0], IDS[8])
    assert (accepted.posts, none.posts) == (0, 1)


@pytest.mark.parametrize("error", [SegmindServerError, SegmindRateLimitError])
def test_after_a_refusal_that_a_gateway_may_have_made_up_the_history_is_looked_in_once_before_the_next_post(error):
    refused = Play(DELIVERED.model_copy(update={"request_id": IDS[7]}), post=error("HTTP", status_code=503))
    with pytest.raises(error):
        refused.run()
    kept = read_record(refused.store)
    assert (kept.refused, kept.former) == (True, (IDS[7],))
    accepted = Play(kept, looks=[[row()]])
    assert accepted.run().request_id == IDS[0]
    none = Play(kept, looks=[[]])
    assert none.run().request_id == IDS[8]
    assert (accepted.posts, none.posts, none.steps.count("SearchHistory"), none.now) == (0, 1, 1, NOW)


def test_what_was_refused_again_and_again_is_looked_for_ever_longer_before_the_next_post():
    """A gateway may refuse each time what was accepted, whose rows come after a minute."""
    now, record, posts, waits = NOW, None, [], []
    while len(posts) < 6:
        play = Play(record, at=now, looks=[[]] * 6, post=SegmindRateLimitError("HTTP", status_code=429))
        with pytest.raises(SegmindError) as caught:
            play.run()
        record = read_record(play.store)
        if play.posts:
            waits.append((now - posts[-1]).total_seconds() if posts else 0.0)
            posts.append(now)
            assert record.refusals == len(posts) - 1
            now = play.now + timedelta(seconds=5)
        else:
            now = datetime.fromisoformat(caught.value.look_again_at)
    assert [round(wait / 75) for wait in waits] == [0, 0, 1, 2, 4, 8]
    adopted = Play(record, at=now + timedelta(minutes=5), looks=[[row(created=posts[-1])]])
    assert adopted.run().request_id == IDS[0]


def test_a_rotated_key_finds_the_job_and_another_account_does_not():
    rotated = account("https://api.segmind.com", "rotated")
    same = Play(ACCEPTED, account=rotated)
    same.owns = [IDS[0]]
    assert same.run() == ACCEPTED.model_copy(update={"account": rotated})
    assert read_record(same.store).account == rotated
    late = Play(ACCEPTED, account=rotated, at=NOW + timedelta(minutes=1))
    with pytest.raises(SegmindAmbiguousSubmitError, match=r"show it yet.*from 2026-11-21 10:10:00 UTC") as caught:
        late.run()
    assert caught.value.look_again_at == (NOW + timedelta(minutes=2)).isoformat()
    unread = Play(ACCEPTED, account=rotated)
    unread.owns = SegmindServerError("HTTP 500.")
    with pytest.raises(SegmindAmbiguousSubmitError, match="cannot be read"):
        unread.run()
    other = Play(ACCEPTED, account=rotated, at=NOW + timedelta(minutes=10))
    assert other.run().request_id == IDS[8]
    assert f"request {IDS[0]}" in other.log[0]
    assert (same.posts, late.posts, unread.posts, other.posts) == (0, 0, 0, 1)


def test_an_intent_of_another_account_is_looked_for_and_named():
    rotated = account("https://api.segmind.com", "rotated")
    found = Play(INTENT, account=rotated, looks=[[row()]])
    assert (found.run().request_id, found.run().account) == (IDS[0], rotated)
    gone = Play(INTENT, account=rotated, at=NOW + timedelta(minutes=10), looks=[[]])
    assert gone.run().request_id == IDS[8]
    assert "the submit of kling-o1 at 2026-11-21 10:00:00 UTC, if it was accepted, is abandoned" in gone.log[1]


def test_a_job_that_siblings_left_by_a_swap_may_be_as_late_as_the_last_of_them():
    swapped = ACCEPTED.model_copy(update={"intended_at": NOW + timedelta(minutes=9), "found": True})
    play = Play(INTENT, at=NOW + timedelta(minutes=11), looks=[[]], siblings=[Claim(task="submit[1]", record=swapped)])
    with pytest.raises(SegmindAmbiguousSubmitError, match="from 2026-11-21 10:19:00 UTC on"):
        play.run()
    received = swapped.model_copy(update={"found": False})
    own = Play(INTENT, at=NOW + timedelta(minutes=11), looks=[[]], siblings=[Claim(task="submit[1]", record=received)])
    assert own.run().request_id == IDS[8]


def test_a_changed_payload_is_submitted_and_the_job_left_behind_is_named_with_its_price():
    changed = {"fingerprint": "other"}
    play = Play(ACCEPTED.model_copy(update=changed))
    assert play.run().request_id == IDS[8]
    (warning, submitting, _) = play.log
    assert submitting == (
        "Submitting kling-o1 (price: $0.035). If nothing follows here, a job may run and be billed: a retry, or "
        "clearing this task, searches for it and sends no second one."
    )
    assert f"request {IDS[0]} (kling-o1, submitted 2026-11-21 10:00:00 UTC) is abandoned" in warning
    assert "billed (price: $0.035) if it completes" in warning
    finished = Play(DELIVERED.model_copy(update=changed))
    finished.run()
    assert len(finished.log) == 2
    unknown = Play(INTENT.model_copy(update=changed))
    unknown.run()
    assert "the submit of kling-o1 at 2026-11-21 10:00:00 UTC, if it was accepted, is abandoned" in unknown.log[0]


def test_a_request_id_that_the_user_names_is_taken_whatever_the_record_says():
    for record in (None, INTENT, ACCEPTED, DELIVERED):
        play = Play(record, adopt=IDS[3])
        assert play.run().request_id == IDS[3]
        assert play.posts == 0
        assert "as ordered" in play.log[-1]


def test_an_id_that_airflow_does_not_store_is_in_the_error():
    play = Play(broken=["Deliver"])
    with pytest.raises(SegmindError, match=f"Request {IDS[8]} was accepted.*API server is away.*adopts it"):
        play.run()

    class Forgetful(Play):
        def carry_out(self, step):
            if isinstance(step, steps.SaveRecord) and step.record.request_id:
                raise RuntimeError("the API server is away")
            return super().carry_out(step)

    with pytest.raises(SegmindAmbiguousSubmitError, match=f"Request {IDS[8]} was accepted.*finds it") as caught:
        Forgetful().run()
    assert caught.value.request_id == IDS[8]


def test_the_fingerprint_tells_payloads_and_models_apart_but_not_the_order_of_parameters_nor_keys():
    one = fingerprint("m", {"a": 1, "b": 2})
    assert one == fingerprint("m", {"b": 2, "a": 1})
    assert len({one, fingerprint("n", {"a": 1, "b": 2}), fingerprint("m", {"a": 1, "b": 3})}) == 3


def test_a_record_survives_its_store():
    assert read_record(None) is None
    assert read_record(DELIVERED.model_dump(mode="json")) == DELIVERED


@pytest.mark.parametrize("stored", ["", 7, {}, {"version": 2}, {**ACCEPTED.model_dump(mode="json"), "version": 1}])
def test_a_record_that_cannot_be_read_is_an_error_and_never_no_record(stored):
    with pytest.raises(SegmindInputError, match="cannot be read"):
        read_record(stored)


def test_what_the_history_did_not_show_before_a_worker_stood_still_may_be_there_by_now():
    class StandsStill(Play):
        def carry_out(self, step):
            answer = super().carry_out(step)
            if isinstance(step, steps.SearchHistory | steps.AskOwner):
                self.now += timedelta(minutes=11)
            return answer

    for record, more in ((INTENT, {}), (ACCEPTED, {"account": "rotated"})):
        play = StandsStill(record, looks=[[]], **more)
        with pytest.raises(SegmindAmbiguousSubmitError):
            play.run()
        assert play.posts == 0


def test_a_job_that_a_task_of_another_run_holds_is_left_to_it():
    held = DELIVERED.model_copy(update={"request_id": IDS[1]})
    theirs = Claim(task="submit", run="another", record=held)
    play = Play(INTENT, looks=[[row(IDS[1])], [row(IDS[1]), row(IDS[0])]])
    play.strangers = [theirs.model_dump(mode="json")]
    assert play.run().request_id == IDS[0]
    # One that took this task's job while this task was being started again has left its own.
    taken = Claim(task="submit", run="another", record=ACCEPTED.model_copy(update={"found": True}))
    swapped = Play(ACCEPTED, looks=[[row(IDS[0]), row(IDS[1])]])
    swapped.strangers = [taken.model_dump(mode="json")]
    assert swapped.run().request_id == IDS[1]


def test_a_task_of_another_run_whose_reply_is_on_its_way_is_named():
    theirs = Claim(task="submit", run="another", record=INTENT)
    play = Play(INTENT, looks=[[row()]])
    play.strangers = [theirs.model_dump(mode="json")]
    with pytest.raises(SegmindAmbiguousSubmitError, match="the job of submit in the run another, which wants the same"):
        play.run()


def test_the_history_is_asked_for_the_days_of_the_intent_and_for_no_more_of_its_age():
    asked = []

    class Asking(Play):
        def carry_out(self, step):
            if isinstance(step, steps.SearchHistory):
                asked.append((step.since, step.until))
            return super().carry_out(step)

    old = Asking(INTENT, at=NOW + timedelta(days=60), looks=[[row()]])
    assert old.run().request_id == IDS[0]
    assert asked == [(NOW - timedelta(minutes=5), NOW + timedelta(days=1, minutes=15))]
