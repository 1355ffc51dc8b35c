"""Ways to break the protocol, each as one exact replacement in a file of the package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ADOPTION = "submission/adoption.py"
_ATTEMPT = "submission/attempt.py"
_CLOCK = "segmind/clock.py"
_HISTORY = "segmind/history.py"
_JUDGEMENT = "submission/judgement.py"
_MATCHING = "submission/history_match.py"
_POLICY = "submission/policy.py"
_RECORD = "submission/record.py"
_RECORDS = "submission/record_store.py"
_SEARCH = "submission/search.py"
_SUBMISSION = "submission/submission.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """
    One defect.

    :param file: below the package.
    :param old: what stands there, exactly once.
    :param new: what is put in its place.
    """

    name: str
    file: str
    old: str
    new: str


MUTANTS: Sequence[Mutant] = (
    # What is promised first: the order of intent, POST and request id.
    Mutant(
        "the intent is not stored",
        _ATTEMPT,
        "        yield SaveRecord(intent, before_post=True, unusable=unusable)\n",
        "        pass\n",
    ),
    Mutant(
        "the intent is stored after the POST",
        _ATTEMPT,
        "        yield SaveRecord(intent, before_post=True, unusable=unusable)\n"
        "    except (KlingBudgetExceededError, MadeElsewhereError):\n        yield release\n"
        "        raise\n    try:\n        receipt: Receipt = yield Post(intent.uploads)\n",
        "        receipt: Receipt = yield Post(intent.uploads)\n        yield SaveRecord(intent)\n",
    ),
    Mutant(
        "the request id is not stored",
        _ATTEMPT,
        "        yield SaveRecord(accepted)\n",
        "        yield Log('info', '')\n",
    ),
    Mutant(
        "the request id is stored after the log's line",
        _ATTEMPT,
        "    try:\n        yield SaveRecord(accepted)\n",
        "    yield Log('info', 'accepted')\n    try:\n        yield Log('info', 'and')\n        yield SaveRecord(accepted)\n",
    ),
    Mutant(
        "the intent is not shown before the POST",
        _ATTEMPT,
        "    yield Publish(submission.claim(intent))\n    try:\n        if guard",
        "    try:\n        if guard",
    ),
    Mutant(
        "the claim is not shown again at the start of an attempt",
        _ATTEMPT,
        "        yield Publish(submission.claim(record.as_left()))\n    accepted",
        "        pass\n    accepted",
    ),
    Mutant(
        "a late XCom of the attempt before stands: nothing is shown anew before a search",
        _SEARCH,
        "    yield Publish(submission.claim(waiting))\n    yield Log",
        "    yield Log",
    ),
    Mutant(
        "the job is not delivered",
        _ATTEMPT,
        "        yield Deliver(submission.claim(accepted), accepted.accepted_at or accepted.intended_at)\n",
        "        pass\n",
    ),
    Mutant(
        "a job counts as delivered before Airflow has counted the success",
        _ATTEMPT,
        "        raise messages.undelivered(accepted.request_id, exc) from exc\n",
        "        raise messages.undelivered(accepted.request_id, exc) from exc\n    yield SaveRecord(accepted.model_copy(update={'closed': True}))\n",
    ),
    # What an attempt makes of a record.
    Mutant(
        "an intent without a request id counts as none",
        _ATTEMPT,
        "        return (yield from _resolved(submission, record))\n    return (yield from _continued",
        "        return (yield from _post(submission, record))\n    return (yield from _continued",
    ),
    Mutant(
        "a delivered job is adopted again",
        _ATTEMPT,
        "    if record.closed:\n        yield Log",
        "    if False:\n        yield Log",
    ),
    Mutant(
        "an undelivered job is submitted anew",
        _ATTEMPT,
        "    if record.closed:\n        yield Log",
        "    if not record.closed:\n        yield Log",
    ),
    Mutant(
        "another payload adopts the job",
        _ATTEMPT,
        "    if record.fingerprint != submission.fingerprint:",
        "    if False:",
    ),
    Mutant(
        "a job left behind is not named",
        _ATTEMPT,
        '        yield Log("warning", messages.abandoned(record))\n',
        "        pass\n",
    ),
    Mutant(
        "the fingerprint includes the key: a rotated one leaves the job behind",
        _ATTEMPT,
        "    if record.fingerprint != submission.fingerprint:",
        "    if record.fingerprint + record.account != submission.fingerprint + submission.account:",
    ),
    Mutant(
        "another account's job is adopted",
        _ATTEMPT,
        "        if not (yield from is_own(submission, record, request_id)):",
        "        if (yield from is_own(submission, record, request_id)) is None:",
    ),
    Mutant(
        "a job whose row is late is another account's",
        _ADOPTION,
        "    if not own and asked < over:",
        "    if False:",
    ),
    Mutant(
        "after another key an intent counts as gone before the grace is over",
        _ATTEMPT,
        "    found = yield from search(submission, intent)\n    if found is not None:\n        return found\n    if intent.account",
        "    found = None if intent.account != submission.account else (yield from search(submission, intent))\n    if found is not None:\n        return found\n    if intent.account",
    ),
    Mutant(
        "an unreadable record counts as none",
        _RECORD,
        "    if record is None or record.version != RECORD_VERSION:\n",
        "    if record is None:\n        return None\n    if record.version != RECORD_VERSION:\n",
    ),
    # The grace and the windows.
    Mutant(
        "the grace is counted from the first try's intent",
        _ATTEMPT,
        "    intent = submission.intent(former=jobs, former_cost=cost, seen=seen, ordered=ordered)\n",
        "    intent = submission.intent(former=jobs, former_cost=cost, seen=seen, ordered=ordered)\n    if previous is not None:\n        intent = intent.model_copy(update={'intended_at': previous.intended_at})\n",
    ),
    Mutant(
        "the grace is counted from a minute before the intent of a retry",
        _SUBMISSION,
        "        return max([intent.intended_at, *(record.intended_at for record in swapped)]) + self.grace",
        "        return min([intent.intended_at, *(record.intended_at for record in swapped)]) + self.grace / 2",
    ),
    Mutant(
        "what the history does not show is absent at once",
        _JUDGEMENT,
        "    if now < over:\n        shown",
        "    if False:\n        shown",
    ),
    Mutant(
        "a wait names no time to come back",
        _SEARCH,
        "            if finding.until is not None and",
        "            if finding.until is None and",
    ),
    Mutant(
        "nobody says when to look again",
        _POLICY,
        "    return max(now, min(now + pause, until)).isoformat()",
        "    return None",
    ),
    Mutant(
        "a look that is answered after the grace counts as asked after it",
        _POLICY,
        "    if asked >= until:\n        return None\n    now = clock()\n",
        "    now = clock()\n    if now >= until:\n        return None\n",
    ),
    Mutant(
        "a wait for a job asks what the task shows",
        _RECORD,
        "    record = read_record(stored)\n    if record is None or record.request_id is None:\n        record = next(",
        "    record = read_record(stored)\n    if True:\n        record = next(",
    ),
    Mutant(
        "the window begins with the intent",
        _MATCHING,
        "        return cls(intended_at - CLOCK_SKEW,",
        "        return cls(intended_at + timedelta(seconds=1),",
    ),
    Mutant(
        "the clocks may not be apart",
        _CLOCK,
        "CLOCK_SKEW = timedelta(minutes=5)",
        "CLOCK_SKEW = timedelta(0)",
    ),
    Mutant(
        "the window ends a minute after the intent",
        _MATCHING,
        "intended_at + max(grace, SLOWEST_ACCEPTANCE) + CLOCK_SKEW)",
        "intended_at + timedelta(minutes=1))",
    ),
    Mutant(
        "the window is two minutes long",
        _HISTORY,
        "    if first <= created <= last:",
        "    if first < created < first + timedelta(minutes=2):",
    ),
    Mutant(
        "the history is asked for no day to spare",
        "segmind/protocol.py",
        "(until.astimezone(UTC).date() + 2 * _ONE_DAY).isoformat()",
        "until.astimezone(UTC).date().isoformat()",
    ),
    # Near misses.
    Mutant(
        "what may be the job counts as absent",
        _JUDGEMENT,
        "    if possible:\n        return NotYet",
        "    if False:\n        return NotYet",
    ),
    Mutant(
        "a row without a time is not it",
        _HISTORY,
        "    if created is None:\n        return None\n    if first",
        "    if created is None:\n        return False\n    if first",
    ),
    Mutant(
        "a row with more inputs is not it",
        _MATCHING,
        "    return True if there.keys() == here.keys() and None not in agrees else None",
        "    return there.keys() == here.keys() and None not in agrees",
    ),
    Mutant(
        "a row without an id is not it",
        _MATCHING,
        "            found = certain if None not in agrees and row.request_id else possible\n",
        "            if not row.request_id:\n                continue\n            found = certain if None not in agrees else possible\n",
    ),
    Mutant(
        "numbers and their texts differ",
        _MATCHING,
        "            return bool(_of_text(there) == _of_text(here))\n",
        "            return False\n",
    ),
    Mutant(
        "other inputs do not tell jobs apart",
        _MATCHING,
        "    if False in agrees:\n        return False\n    return True",
        "    return True",
    ),
    Mutant(
        "a text that is cut or evened out is another one",
        _MATCHING,
        "        return True if there == here else None if _is_nearly(there, here) else False",
        "        return bool(there == here)",
    ),
    Mutant(
        "a time without a zone is UTC and nothing else",
        _HISTORY,
        "    return None if local and first - _WESTERNMOST <= created <= last + _EASTERNMOST else False",
        "    return False",
    ),
    Mutant(
        "what the history does not show is told for after the look",
        _SEARCH,
        "(yield from other_claims(submission, leave_out=leave_out)), asked)",
        "(yield from other_claims(submission, leave_out=leave_out)), submission.clock())",
    ),
    Mutant(
        "a cleared task does not look which jobs were there before",
        _ATTEMPT,
        "        seen = (yield from _made_before(submission)) if submission.forgotten else ()",
        "        seen = ()",
    ),
    # Siblings, and tasks of other runs.
    Mutant(
        "tasks of other runs do not count",
        _RECORD,
        "    return [claim for claim in claims if claim.name != besides]",
        "    return [claim for claim in claims if claim.name != besides and claim.run == besides[0]]",
    ),
    Mutant(
        "after a refusal a row goes to any sibling",
        _JUDGEMENT,
        "    if len(there.certain) > 1 + len(rivals):\n        if now >= over:",
        "    if intent.refused and len(there.certain) <= len(rivals):\n        return Absent()\n    if len(there.certain) > 1 + len(rivals):\n        if now >= over:",
    ),
    Mutant(
        "several rows ask a person at once",
        _JUDGEMENT,
        "        if now >= over:\n            return NotYet",
        "        if True:\n            return NotYet",
    ),
    Mutant(
        "what siblings hold is not left out",
        _JUDGEMENT,
        "    held = {job for claim in others for job in claim.record.jobs} | {*intent.former, *intent.seen}",
        "    held = {*intent.former, *intent.seen}",
    ),
    Mutant(
        "the task's own former jobs are not left out",
        _JUDGEMENT,
        "    held = {job for claim in others for job in claim.record.jobs} | {*intent.former, *intent.seen}",
        "    held = {job for claim in others for job in claim.record.jobs} | {*intent.seen}",
    ),
    Mutant(
        "a sibling's receipt on its way is not waited for",
        _JUDGEMENT,
        "    if all(claim.record.unclear for claim in rivals):",
        "    if True:",
    ),
    Mutant(
        "rivals do not count",
        _JUDGEMENT,
        "        if claim.record.request_id is None and now - claim.record.intended_at < submission.grace\n",
        "        if False and now\n",
    ),
    Mutant(
        "siblings are asked before the look",
        _SEARCH,
        "    finding = judge(submission, intent, rows, (yield from other_claims(submission, leave_out=leave_out)), asked)",
        "    finding = judge(submission, intent, rows, wanting, asked)",
    ),
    Mutant(
        "a job found is kept though a sibling takes it too",
        _SEARCH,
        "    return not takers",
        "    return True",
    ),
    Mutant(
        "the first of those that take the same job goes on without asking again",
        _SEARCH,
        "        yield Pause(FIRST_PAUSE)\n        takers = _takers(job, (yield from other_claims(submission, leave_out=leave_out)))\n",
        "        takers = []\n",
    ),
    Mutant(
        "a job is adopted though a task that was just started may hold it",
        _SEARCH,
        "    if silent:",
        "    if False:",
    ),
    Mutant(
        "a job that a sibling took is adopted too",
        _ATTEMPT,
        "    if takers:\n",
        "    if False:\n",
    ),
    Mutant(
        "claims are not read",
        _RECORD,
        "    return [claim for claim in claims if claim.name != besides]",
        "    return []",
    ),
    # Refusals, and the record's shelves.
    Mutant(
        "a refusal that a gateway may make up is certain",
        _ATTEMPT,
        "    if error.status_code is not None and (error.retryable or error.may_be_accepted):",
        "    if False:",
    ),
    Mutant(
        "refusals in a row are not counted",
        _ATTEMPT,
        '        intent = intent.model_copy(update={"refusals": min(previous.refusals + 1, MOST_REFUSALS)})\n',
        "        pass\n",
    ),
    Mutant(
        "former jobs are forgotten",
        _ATTEMPT,
        "submission.intent(former=jobs, former_cost=cost,",
        "submission.intent(former=(), former_cost=cost,",
    ),
    Mutant(
        "a lost reply counts as a refusal",
        _ATTEMPT,
        "        return (yield from _found_after(submission, intent, error))\n",
        "        yield DeleteRecord()\n        raise\n",
    ),
    Mutant(
        "the Variable is written before the state",
        _RECORDS,
        "        if self.state is not None:\n            self.state.set(RECORD_KEY, value)\n        if self.variable is None:\n            return\n        if record.closed:\n            self.variable.delete()\n        else:\n            self.variable.set(json.dumps(value))\n",
        "        if self.variable is not None and record.closed:\n            self.variable.delete()\n        elif self.variable is not None:\n            self.variable.set(json.dumps(value))\n        if self.state is not None:\n            self.state.set(RECORD_KEY, value)\n",
    ),
    Mutant(
        "the Variable is deleted with the request id",
        _RECORDS,
        "        if record.closed:\n            self.variable.delete()",
        "        if record.request_id is not None:\n            self.variable.delete()",
    ),
    Mutant(
        "the Variable is not read where there is state",
        _RECORDS,
        "        if stored is not None or self.variable is None:",
        "        if self.state is not None or self.variable is None:",
    ),
    Mutant(
        "other runs that cannot be asked are left out at once",
        _SEARCH,
        "        leave_out = asked >= submission.grace_over(intent, wanting) + OUTAGE\n",
        "        leave_out = True\n",
    ),
    Mutant(
        "Airflow 2 forgets what was delivered",
        _RECORDS,
        "        last = None if self.conclusions is None else self.conclusions.last()\n",
        "        last: Conclusion | None = None\n",
    ),
    Mutant(
        "a success of Airflow 2's that is retried counts as a cleared one",
        _RECORDS,
        '        return record | {"closed": last.stands} if isinstance(record, dict) else record\n',
        "        return record\n",
    ),
    Mutant("the success is not noted", _RECORD, '{"closed": True,', '{"closed": False,'),
    # Jobs that are used again.
    Mutant(
        "what another task has sent meanwhile is not looked for as the intent is stored",
        _ATTEMPT,
        "seen=seen, unusable=found))\n",
        "seen=seen, unusable=None))\n",
    ),
    Mutant(
        "a job that is used again is given up for its sender's",
        _ATTEMPT,
        "    if record.reused:  #",
        "    if False:  #",
    ),
)
