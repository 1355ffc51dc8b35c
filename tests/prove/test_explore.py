"""That prove finds what is broken, tells it again, and counts right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_kling.submission.attempt import attempt
from airflow_provider_kling.submission.steps import SaveRecord
from prove import __main__ as command
from prove.attempts import plain
from prove.explore import explore
from prove.mutants import MUTANTS, Mutant
from prove.mutations import StaleError, check
from prove.scenarios import SCENARIOS, Scenario, Wish
from prove.story import replay
from prove.walks import walk, walks

ONE = Scenario(name="one", tasks=(Wish(),), faults={"die": 1, "lose": 1}, total=1)


def impatient(submission):
    """Take what the history does not show yet for absent."""
    return attempt(replace(submission, grace=timedelta(0)))


def hasty(submission):
    """Count a job as delivered before Airflow has counted the success."""
    accepted = yield from attempt(submission)
    yield SaveRecord(accepted.model_copy(update={"closed": True}))
    return accepted


def named(name):
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def path_of(result):
    return result.broken[1].partition(":")[2].split()


def test_the_protocol_keeps_its_promises_where_one_worker_dies_anywhere():
    result = explore(ONE)
    assert result.broken is None
    assert result.left_out == 0
    assert result.ends > 0


def test_the_states_of_one_task_without_faults_are_counted():
    # One order of events: a start, nine steps (the POST is two: it is accepted, it is answered), the success.
    result = explore(replace(ONE, faults={}, total=0))
    assert (result.states, result.transitions, result.ends, result.depth) == (13, 12, 1, 12)


def test_two_tasks_without_faults_are_tried_in_every_order():
    one = explore(replace(ONE, faults={}, total=0))
    two = explore(Scenario(name="two", total=0))
    assert two.broken is None
    assert two.ends > 1
    assert two.states > one.states * 2


@pytest.mark.parametrize("protocol", [impatient, hasty])
def test_a_planted_defect_is_found_and_its_path_tells_it_again(protocol):
    scenario = replace(ONE, faults={"die": 1, "late": 1, "lose": 1, "post_execute": 1}, total=2)
    result = explore(scenario, protocol)
    assert result.broken is not None
    assert result.broken[0].startswith("1:")
    lines = list(replay(scenario, path_of(result), protocol))
    assert lines[-1] == f"BROKEN  {result.broken[0]}"
    assert any("accepted" in line for line in lines)


def test_the_sound_protocol_goes_another_way_than_the_planted_defect():
    result = explore(replace(ONE, faults={"lose": 1, "late": 1}, total=2), impatient)
    with pytest.raises(ValueError, match="cannot come here"):
        list(replay(replace(ONE, faults={"lose": 1, "late": 1}, total=2), path_of(result)))


def test_time_is_not_given_to_a_scenario_without_end():
    result = explore(Scenario(name="large", faults={"die": 3, "lose": 3}, total=6), seconds=0.2)
    assert result.left_out > 0


def test_a_seed_walks_the_same_way_again():
    assert walk(7) == walk(7)
    assert walk(7)[0] != walk(8)[0]
    assert walks(0, 500).broken is None


def test_a_value_that_is_not_known_is_not_left_out_of_a_state():
    with pytest.raises(TypeError, match="does not know it"):
        plain(object())


def test_every_scenario_has_a_name_of_its_own_and_known_faults():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)


def test_a_weakness_is_told_and_fails_only_where_it_counts(capsys):
    only = "accepted, answered 500 or 429, and the row is late"
    assert command.main(["--only", only, "--processes", "1"]) == 0
    assert "As documented" in capsys.readouterr().out
    assert command.main(["--only", only, "--processes", "1", "--known"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_the_command_tells_a_path_in_words(capsys):
    assert (
        command.main(
            ["--replay", "one task, three faults, Airflow 3.3: a.start a.go a.go a.go a.go a.go a.accept a.lose"]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "Segmind bills request a0" in told
    assert "the reply is lost" in told
    assert command.main(["--replay", "no such thing: a.start"]) == 2


def test_each_mutant_changes_one_place():
    check(MUTANTS)
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40
    with pytest.raises(StaleError, match="0 times"):
        check([Mutant("stale", "submission/record_store.py", "no such line", "")])
