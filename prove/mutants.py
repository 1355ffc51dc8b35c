"""Ways to break the protocol, each as one exact replacement in a file of the package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SUBMISSION = "segmind/submission.py"
_MATCHING = "segmind/matching.py"
_STEPS = "segmind/steps.py"
_RECORDS = "records.py"


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
        _SUBMISSION,
        "        yield Keep(intent)\n        try:\n            receipt",
        "        try:\n            receipt",
    ),
    Mutant(
        "the intent is stored after the POST",
        _SUBMISSION,
        "        yield Keep(intent)\n        try:\n            receipt: Receipt = yield Post(intent.uploads)\n",
        "        try:\n            receipt: Receipt = yield Post(intent.uploads)\n            yield Keep(intent)\n",
    ),
    Mutant(
        "the request id is not stored",
        _SUBMISSION,
        "            yield Keep(accepted)\n",
        "            yield Tell('info', '')\n",
    ),
    Mutant(
        "the request id is stored after the log's line",
        _SUBMISSION,
        "        try:\n            yield Keep(accepted)\n",
        "        yield Tell('info', 'accepted')\n        try:\n            yield Pause(1)\n            yield Keep(accepted)\n",
    ),
    Mutant(
        "the intent is not shown before the POST",
        _SUBMISSION,
        "        yield Publish(self._claim(intent))\n        try:\n            if self.purse",
        "        try:\n            if self.purse",
    ),
    Mutant(
        "the claim is not shown again at the start of an attempt",
        _SUBMISSION,
        "            yield Publish(self._claim(as_left(record)))\n        accepted",
        "            pass\n        accepted",
    ),
    Mutant(
        "a late XCom of the attempt before stands: nothing is shown anew before a search",
        _SUBMISSION,
        "        yield Publish(self._claim(waiting))\n        yield Tell",
        "        yield Tell",
    ),
    Mutant(
        "the job is not delivered",
        _SUBMISSION,
        "            yield Deliver(self._claim(accepted), accepted.accepted_at or accepted.intended_at)\n",
        "            pass\n",
    ),
    Mutant(
        "a job counts as delivered before Airflow has counted the success",
        _SUBMISSION,
        "            raise outlook.undelivered(accepted.request_id, exc) from exc\n",
        "            raise outlook.undelivered(accepted.request_id, exc) from exc\n"
        "        yield Keep(accepted.model_copy(update={'delivered': True}))\n",
    ),
    # What an attempt makes of a record.
    Mutant(
        "an intent without a request id counts as none",
        _SUBMISSION,
        "            return (yield from self._resolved(record))\n        return (yield from self._continued",
        "            return (yield from self._post(record))\n        return (yield from self._continued",
    ),
    Mutant(
        "a delivered job is adopted again",
        _SUBMISSION,
        "        if record.delivered:\n            yield Tell",
        "        if False:\n            yield Tell",
    ),
    Mutant(
        "an undelivered job is submitted anew",
        _SUBMISSION,
        "        if record.delivered:\n            yield Tell",
        "        if not record.delivered:\n            yield Tell",
    ),
    Mutant(
        "another payload adopts the job",
        _SUBMISSION,
        "        if record.fingerprint != self.fingerprint:",
        "        if False:",
    ),
    Mutant(
        "a job left behind is not named",
        _SUBMISSION,
        '            yield Tell("warning", outlook.abandoned(record))\n        return (yield from self._post(record))',
        "            pass\n        return (yield from self._post(record))",
    ),
    Mutant(
        "the fingerprint includes the key: a rotated one leaves the job behind",
        _SUBMISSION,
        "        if record.fingerprint != self.fingerprint:",
        "        if record.fingerprint + record.account != self.fingerprint + self.account:",
    ),
    Mutant(
        "another account's job is adopted",
        _SUBMISSION,
        "            if not (yield from self._is_own(record, request_id)):",
        "            if (yield from self._is_own(record, request_id)) is None:",
    ),
    Mutant(
        "a job whose row is late is another account's",
        _SUBMISSION,
        "        if not own and asked < over:",
        "        if False:",
    ),
    Mutant(
        "after another key an intent counts as gone before the grace is over",
        _SUBMISSION,
        "        found = yield from self._search(intent)\n        if found is not None:\n            return found\n        if intent.account",
        "        found = None if intent.account != self.account else (yield from self._search(intent))\n"
        "        if found is not None:\n            return found\n        if intent.account",
    ),
    Mutant(
        "an unreadable record counts as none",
        _SUBMISSION,
        "    if record is None or record.version != RECORD_VERSION:\n",
        "    if record is None:\n        return None\n    if record.version != RECORD_VERSION:\n",
    ),
    # The grace and the windows.
    Mutant(
        "the grace is counted from the first try's intent",
        _SUBMISSION,
        "        intent = self._intent(self.clock(), former=_jobs(previous), ",
        "        intent = self._intent(previous.intended_at if previous else self.clock(), former=_jobs(previous), ",
    ),
    Mutant(
        "the grace is counted from a minute before the intent of a retry",
        _SUBMISSION,
        "        return max([intent.intended_at, *(record.intended_at for record in swapped)]) + self.grace",
        "        return min([intent.intended_at, *(record.intended_at for record in swapped)]) + self.grace / 2",
    ),
    Mutant(
        "what the history does not show is absent at once",
        _SUBMISSION,
        "        if now < over:\n            shown",
        "        if False:\n            shown",
    ),
    Mutant(
        "a wait names no time to come back",
        _SUBMISSION,
        "            if left <= 0:\n                if finding.until is not None and",
        "            if left <= 0:\n                if finding.until is None and",
    ),
    Mutant(
        "nobody says when to look again",
        _SUBMISSION,
        "        return max(now, min(now + pause, until)).isoformat()",
        "        return None",
    ),
    Mutant(
        "a look that is answered after the grace counts as asked after it",
        _SUBMISSION,
        "        if asked >= until:\n            return None\n        now = self.clock()\n",
        "        now = self.clock()\n        if now >= until:\n            return None\n",
    ),
    Mutant(
        "a wait for a job asks what the task shows",
        _SUBMISSION,
        "    record = read_record(stored)\n    if record is None or record.request_id is None:\n        record = next(",
        "    record = read_record(stored)\n    if True:\n        record = next(",
    ),
    Mutant(
        "the window begins with the intent",
        _MATCHING,
        "        return cls(intended_at - CLOCK_SKEW,",
        "        return cls(intended_at + timedelta(seconds=1),",
    ),
    Mutant("the clocks may not be apart", _MATCHING, "CLOCK_SKEW = timedelta(minutes=5)", "CLOCK_SKEW = timedelta(0)"),
    Mutant(
        "the window ends a minute after the intent",
        _MATCHING,
        "intended_at + max(grace, SLOWEST_ACCEPTANCE) + CLOCK_SKEW)",
        "intended_at + timedelta(minutes=1))",
    ),
    Mutant(
        "the window is two minutes long",
        _MATCHING,
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
        _SUBMISSION,
        "        if possible:\n            return NotYet",
        "        if False:\n            return NotYet",
    ),
    Mutant(
        "a row without a time is not it",
        _MATCHING,
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
        _MATCHING,
        "    return None if local and first - _WESTERNMOST <= created <= last + _EASTERNMOST else False",
        "    return False",
    ),
    Mutant(
        "what the history does not show is told for after the look",
        _SUBMISSION,
        "(yield from self._others(leave_out=leave_out)), asked)",
        "(yield from self._others(leave_out=leave_out)), self.clock())",
    ),
    Mutant(
        "a cleared task does not look which jobs were there before",
        _SUBMISSION,
        "            seen = (yield from self._made_before()) if self.forgotten else ()",
        "            seen = ()",
    ),
    # Siblings, and tasks of other runs.
    Mutant(
        "tasks of other runs do not count",
        _STEPS,
        "    return [claim for claim in claims if claim.name != besides]",
        "    return [claim for claim in claims if claim.name != besides and claim.run == besides[0]]",
    ),
    Mutant(
        "after a refusal a row goes to any sibling",
        _SUBMISSION,
        "        if len(there.certain) > 1 + len(rivals):\n            if now >= over:",
        "        if intent.refused and len(there.certain) <= len(rivals):\n            return Absent()\n"
        "        if len(there.certain) > 1 + len(rivals):\n            if now >= over:",
    ),
    Mutant(
        "several rows ask a person at once",
        _SUBMISSION,
        "            if now >= over:\n                return NotYet",
        "            if True:\n                return NotYet",
    ),
    Mutant(
        "what siblings hold is not left out",
        _SUBMISSION,
        "        held = _held(others) | {*intent.former, *intent.seen}",
        "        held = {*intent.former, *intent.seen}",
    ),
    Mutant(
        "the task's own former jobs are not left out",
        _SUBMISSION,
        "        held = _held(others) | {*intent.former, *intent.seen}",
        "        held = _held(others) | {*intent.seen}",
    ),
    Mutant(
        "a sibling's receipt on its way is not waited for",
        _SUBMISSION,
        "        if all(claim.record.unclear for claim in rivals):",
        "        if True:",
    ),
    Mutant(
        "rivals do not count",
        _SUBMISSION,
        "            if claim.record.request_id is None and now - claim.record.intended_at < self.grace\n",
        "            if False and now\n",
    ),
    Mutant(
        "siblings are asked before the look",
        _SUBMISSION,
        "        finding = self.judge(intent, rows, (yield from self._others(leave_out=leave_out)), asked)",
        "        finding = self.judge(intent, rows, wanting, asked)",
    ),
    Mutant(
        "a job found is kept though a sibling takes it too",
        _SUBMISSION,
        "        return not takers",
        "        return True",
    ),
    Mutant(
        "the first of those that take the same job goes on without asking again",
        _SUBMISSION,
        "            yield Pause(FIRST_PAUSE)\n"
        "            takers = _takers(job, (yield from self._others(leave_out=leave_out)))\n",
        "            takers = []\n",
    ),
    Mutant(
        "a job is adopted though a task that was just started may hold it",
        _SUBMISSION,
        "        if silent:",
        "        if False:",
    ),
    Mutant("a job that a sibling took is adopted too", _SUBMISSION, "        if takers:\n", "        if False:\n"),
    Mutant(
        "claims are not read",
        _STEPS,
        "    return [claim for claim in claims if claim.name != besides]",
        "    return []",
    ),
    # Refusals, and the record's shelves.
    Mutant(
        "a refusal that a gateway may make up is certain",
        _SUBMISSION,
        "            if error.retryable and error.status_code is not None:",
        "            if False:",
    ),
    Mutant(
        "refusals in a row are not counted",
        _SUBMISSION,
        '            intent = intent.model_copy(update={"refusals": min(previous.refusals + 1, MOST_REFUSALS)})\n',
        "            pass\n",
    ),
    Mutant(
        "former jobs are forgotten",
        _SUBMISSION,
        "former=_jobs(previous), former_cost=cost, seen=seen, ordered=ordered)",
        "former=(), former_cost=cost, seen=seen, ordered=ordered)",
    ),
    Mutant(
        "a lost reply counts as a refusal",
        _SUBMISSION,
        "            found = yield from self._search(intent)\n            if found is None:  # the grace",
        "            yield Forget()\n            found = None\n            if found is None:  # the grace",
    ),
    Mutant(
        "the Variable is written before the state",
        _RECORDS,
        "        if self.state is not None:\n            self.state.set(RECORD_KEY, value)\n        if self.variable is None:\n            return\n        if record.delivered:\n            self.variable.delete()\n        else:\n            self.variable.set(json.dumps(value))\n",
        "        if self.variable is not None and record.delivered:\n            self.variable.delete()\n        elif self.variable is not None:\n            self.variable.set(json.dumps(value))\n        if self.state is not None:\n            self.state.set(RECORD_KEY, value)\n",
    ),
    Mutant(
        "the Variable is deleted with the request id",
        _RECORDS,
        "        if record.delivered:\n            self.variable.delete()",
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
        _SUBMISSION,
        "            leave_out = asked >= self._over(intent, wanting) + _OUTAGE\n",
        "            leave_out = True\n",
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
        '        return record | {"delivered": last.stands} if isinstance(record, dict) else record\n',
        "        return record\n",
    ),
    Mutant("the success is not noted", _RECORDS, '{"delivered": True,', '{"delivered": False,'),
)
