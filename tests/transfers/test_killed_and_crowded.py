"""Workers that are killed while they fetch, that want one name, and that have no room."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.transfers.conftest import result_of

if TYPE_CHECKING:
    from pathlib import Path


KEEP = """
    from airflow_provider_kling.transfers.segmind_to_object_storage import SegmindToObjectStorageOperator

    SegmindToObjectStorageOperator(task_id="keep", segmind_conn_id="segmind_other", **{arguments!r})
"""


@pytest.fixture
def keep(run_dag):
    """Return a function that keeps a file in this process, which has Airflow loaded already."""
    return lambda again=None, **arguments: run_dag(KEEP.format(arguments=arguments), again=again)


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def until(happened) -> None:
    deadline = time.monotonic() + 180
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_worker_leaves_nothing_under_the_name_and_its_retry_fetches_only_the_rest(
    sim, host, start, keep, film, tmp_path
):
    folder = tmp_path / "kept"
    arguments = {"result": result_of(host), "destination": str(folder), "name": "film.{ext}"}
    host.holds_at = len(film) // 2
    killed = start(again="killed", **arguments)
    until(lambda: folder.exists() and sum(file.stat().st_size for file in folder.iterdir()) > len(film) // 3)
    killed.kill()
    killed.wait()
    (left,) = files(folder)
    assert left.endswith(".part")
    come = (folder / left).stat().st_size

    host.go.set()
    host.holds_at = None
    host.asked.clear()
    assert keep(again="killed", **arguments).state == "success"
    assert files(folder) == ["film.json", "film.mp4"]
    assert (folder / "film.mp4").read_bytes() == film
    assert host.asked == [None, f"bytes={come}-"]
    assert sim.ledger()["accepted"] == 0


def test_of_two_workers_with_one_name_at_the_same_time_one_keeps_a_whole_file_and_one_says_whose_it_is(
    host, start, keep, film, tmp_path, capfd
):
    folder = tmp_path / "kept"
    host.holds_at = len(film) // 2
    ids = [f"00000000-0000-0000-0000-00000000000{number}" for number in range(2)]
    first, second = (
        {"result": result_of(host, request_id), "destination": str(folder), "name": "film.{ext}"} for request_id in ids
    )

    def let_both_go_on():
        until(lambda: len(host.asked) == 2)
        host.go.set()

    other = start(**first)
    with ThreadPoolExecutor() as pool:
        going_on = pool.submit(let_both_go_on)
        keep(**second)
        going_on.result()
    outs = [other.communicate(timeout=180)[0], capfd.readouterr().out]
    assert sorted("belongs to output 0 of request" in out for out in outs) == [False, True]
    assert files(folder) == ["film.json", "film.mp4"]
    assert (folder / "film.mp4").read_bytes() == film
    winner = next(request_id for request_id, out in zip(ids, outs, strict=True) if "belongs to" not in out)
    assert winner in (folder / "film.json").read_text()


@pytest.fixture
def small_disk(tmp_path):
    """Yield a disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:  # noqa: S603 own disk
        pytest.skip("only root may mount a disk of one megabyte")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607 as above


def test_a_full_disk_says_where_there_is_no_room_and_a_retry_keeps_the_file_once_there_is(
    sim, host, keep, film, small_disk, capfd
):
    arguments = {"result": result_of(host), "destination": str(small_disk), "name": "film.{ext}"}
    assert keep(**arguments).state == "failed"
    out = capfd.readouterr().out
    assert f"There is no room at '{small_disk}" in out
    assert "The job is not lost" in out
    assert "seven days" in out
    assert files(small_disk) == []

    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)  # noqa: S603, S607 as above
    assert keep(**arguments).state == "success"
    assert files(small_disk) == ["film.json", "film.mp4"]
    assert (small_disk / "film.mp4").read_bytes() == film
    assert sim.ledger()["accepted"] == 0
