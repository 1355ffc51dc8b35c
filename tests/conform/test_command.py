"""The command itself: what it asks, writes and returns."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from airflow_provider_kling.simulator import Simulator
from conform.target import choose_live
from demo.problems import DemoError
from demo.target import random_key

ROOT = Path(__file__).parents[2]


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=200)


def conform(folder, **env):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "SEGMIND"))}
    return subprocess.run(
        [sys.executable, "-m", "conform"],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_measures_a_simulator_of_its_own(tmp_path):
    ended = conform(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "18 supported, 0 broken, 0 not measured." in ended.stdout
    told = json.loads((tmp_path / "conform-output/conform.json").read_text())
    assert {finding["verdict"] for finding in told["findings"]} == {"supported"}
    assert told["seen"]["clock_ahead_seconds"]
    assert "| docs/never-pay-twice.md |" in (tmp_path / "conform-output/conform.md").read_text()


def test_a_live_run_that_breaks_an_assumption_says_what_follows_and_writes_no_key(tmp_path):
    key = random_key()
    history = {"own_ids": True}
    with Simulator(api_key=key, time_scale=100, requests_per_minute=0, height=72, history=history) as simulator:
        ended = conform(
            tmp_path,
            LIVE="1",
            YES="1",
            SEGMIND_API_KEY=key,
            KLING_CONFORM_HOST=simulator.url,
            REQUESTS_PER_MINUTE="30000",
        )
        ledger = simulator.ledger()
    assert ended.returncode == 1, ended.stderr
    assert "Broken: ids (docs/never-pay-twice.md)" in ended.stdout
    assert (ledger["accepted"], ledger["billed"]) == (3, 0.07)
    (folder,) = (tmp_path / "conform-output").iterdir()
    assert folder.name.startswith("live-")
    written = [file.read_text() for file in folder.iterdir()]
    assert len(written) == 2
    assert not any(key in text for text in (*written, ended.stdout, ended.stderr))


def test_a_live_run_without_a_key_sends_nothing_and_says_how_to_give_one(console, monkeypatch):
    monkeypatch.delenv("SEGMIND_API_KEY", raising=False)
    with pytest.raises(DemoError, match="SEGMIND_API_KEY=SG_… make conform LIVE=1"):
        choose_live(console)


def test_a_live_run_tells_its_cost_and_is_refused_where_nobody_can_agree_to_it(console, monkeypatch):
    monkeypatch.setenv("SEGMIND_API_KEY", random_key())
    monkeypatch.delenv("YES", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))  # not a terminal
    with pytest.raises(DemoError, match="YES=1"):
        choose_live(console)
    told = console.file.getvalue()
    assert "3 jobs to kling-3-text2image on https://api.segmind.com, $0.035 each" in told
    assert "Together $0.07, at the most $0.105." in told
