"""Names that a suspended frame writes before it reads them again are no part of a state; all others are."""

from __future__ import annotations

from prove.liveness import live_names


def _live(generator, steps):
    for _ in range(steps):
        next(generator)
    return live_names(generator.gi_frame.f_code, generator.gi_frame.f_lasti)


def _looks(rows):
    pause = 1
    while True:
        asked = yield "ask"
        found = rows > asked
        if found:
            return found
        try:
            yield pause
        except ValueError as error:
            told = error
            yield told
        pause *= 2


def test_a_name_that_is_written_again_before_it_is_read_is_not_live():
    assert _live(_looks(0), 1) >= {"rows", "pause"}
    assert not _live(_looks(0), 1) & {"asked", "found", "told", "error"}


def test_what_only_a_handler_reads_is_live_where_it_may_be_reached():
    def keeps(record):
        before = record
        yield "send"
        try:
            yield "store"
        except ValueError:
            yield before
        yield "done"

    assert "before" in _live(keeps(1), 1)
    assert "before" in _live(keeps(1), 2)
    assert "before" not in _live(keeps(1), 3)


def test_names_of_a_generator_that_waits_for_another_one_are_told_as_well():
    def outer(kept, dropped):
        answer = yield from _looks(dropped)
        return kept, answer

    assert _live(outer(1, 2), 1) == {"kept"}


def test_names_that_inner_functions_share_are_always_live():
    def shares(value):
        def read():
            return value

        yield read()
        yield 2

    assert "value" in _live(shares(1), 2)
