"""Money is spent only by someone who has a key and said yes."""

import io
import re

import pytest
from rich.console import Console

from demo.problems import DemoError
from demo.target import choose_live, random_key


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=120)


def test_a_live_run_without_a_key_says_how_to_give_one(console, monkeypatch):
    monkeypatch.delenv("SEGMIND_API_KEY", raising=False)

    with pytest.raises(DemoError, match="SEGMIND_API_KEY"):
        choose_live(console)


def test_a_live_run_is_refused_where_nobody_can_agree_to_it(console, monkeypatch):
    monkeypatch.setenv("SEGMIND_API_KEY", random_key())
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))  # not a terminal

    with pytest.raises(DemoError, match="YES=1"):
        choose_live(console)


def test_the_cost_is_told_before_anything_else(console, monkeypatch):
    key = random_key()
    monkeypatch.setenv("SEGMIND_API_KEY", key)
    monkeypatch.setenv("YES", "1")

    target = choose_live(console)

    told = console.file.getvalue()
    assert re.search(r"kling-o1 +60 s +\$0\.035", told)
    assert "$2.66" in told
    assert key not in told
    assert (target.host, target.live) == ("https://api.segmind.com", True)


def test_no_two_keys_are_the_same():
    assert random_key() != random_key()
    assert re.fullmatch(r"SG_[0-9a-f]{16}", random_key())
