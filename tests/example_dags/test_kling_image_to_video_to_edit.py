"""The example as a user runs it: Airflow's own command, in a process and a home of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
import requests
from PIL import Image

from airflow_provider_kling.simulator import Simulator
from demo.lineage import chain
from tests.conftest import connection_json

EXAMPLES = Path(__file__).parents[2] / "example_dags"
KEY = "SG_5eed1e55c0ffee42"


@pytest.fixture(scope="module")
def finished(tmp_path_factory, empty_db):
    """Run the example once; return the simulator, the home and the output."""
    home = tmp_path_factory.mktemp("airflow")
    (home / "dags").mkdir()
    example = Path(shutil.copy(EXAMPLES / "kling_image_to_video_to_edit.py", home / "dags"))
    example.write_text(example.read_text().replace("file:///tmp/kling", (home / "files").as_uri()))
    shutil.copy(empty_db, home / "airflow.db")
    with Simulator(time_scale=100, height=144, api_key=KEY) as sim:
        env = {
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW_CONN_SEGMIND_DEFAULT": connection_json(sim),
        }
        inputs = f"{sim.url}/simulator/inputs"
        conf = {"figure": f"{inputs}/robot.png", "place": f"{inputs}/beach.png"}
        command = [sys.executable, "-m", "airflow", "dags", "test", "kling_image_to_video_to_edit"]
        ran = subprocess.run(  # noqa: S603 is Airflow's own command
            [*command, "--conf", json.dumps(conf)],
            env=env,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
        yield sim, home, ran.stdout + ran.stderr


def test_it_leaves_exactly_three_billed_jobs_each_fed_by_the_one_before(finished):
    sim, _, _ = finished
    ledger = sim.ledger()
    image, video, edit = ledger["jobs"]
    assert ledger["accepted"] == 3
    assert [job["status"] for job in ledger["jobs"]] == ["COMPLETED"] * 3
    assert all(job["cost_billed"] > 0 for job in ledger["jobs"])
    assert video["inputs"]["image_urls"] == [image["url"]]
    assert edit["inputs"]["video_url"] == video["url"]


def test_it_keeps_each_file_with_a_description_that_leads_back_to_the_first_pictures(finished):
    sim, home, output = finished
    kept = sorted((home / "files").rglob("?-*"), key=lambda file: file.name)
    assert [file.name for file in kept] == [
        f"{name}.{suffix}"
        for name, media in (("1-image", "png"), ("2-video", "mp4"), ("3-edit", "mp4"))
        for suffix in sorted(("json", media))
    ]
    assert chain(kept[-2]).endswith("<- robot.png, beach.png")
    assert f"${sim.ledger()['billed']:.3f}" in output  # what the run cost


def test_its_files_open_with_the_right_size_duration_and_frames(finished):
    sim, _, _ = finished
    image, video, edit = (requests.get(job["url"], timeout=10).content for job in sim.ledger()["jobs"])
    with Image.open(io.BytesIO(image)) as picture:
        assert picture.format == "PNG"
        assert picture.width / picture.height == pytest.approx(16 / 9, rel=0.01)
    for content in (video, edit):
        with av.open(io.BytesIO(content)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 256, 144)
            assert float(stream.average_rate) == 24
            assert sum(1 for _ in container.decode(stream)) == 120
            assert container.duration / 1e6 == pytest.approx(5, abs=0.1)


def test_the_key_is_in_no_log_no_file_and_no_database_row(finished):
    _, home, output = finished
    assert KEY not in output
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
