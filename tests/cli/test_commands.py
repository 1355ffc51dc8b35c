from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_kling.payloads import known_slugs
from docs.generate import page
from tests.conftest import AIRFLOW_3_2

GOOD = {"prompt": "a fox", "duration": 3}


def models(*arguments, stdin=None, **env):
    return subprocess.run(  # noqa: S603 is this project's own command
        [sys.executable, "-m", "airflow_provider_kling", "models", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200", **env},
        timeout=60,
    )


@pytest.mark.parametrize("columns", ["80", "200"])
def test_list_prints_every_model_on_a_line_of_its_own_that_a_shell_can_cut(columns):
    ran = models("list", COLUMNS=columns)
    assert ran.returncode == 0
    lines = ran.stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(known_slugs())
    assert len(lines) == 38


def test_show_prints_what_a_user_needs_to_write_a_payload():
    out = models("show", "kling-o3-video2video-reference").stdout
    for words in (
        "O3VideoReference(prompt=",
        "video_url",
        "'3' to '15'",
        "at most 10",
        "$0.945 to $6.30",
        "Each Element",
    ):
        assert words in out
    for slug in known_slugs():
        assert slug in models_in_process("show", slug)


def models_in_process(*arguments):
    import contextlib
    import io

    from airflow_provider_kling.cli.standalone import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["models", *arguments]) == 0
    return out.getvalue()


def test_an_unknown_model_is_told_with_the_nearest_one():
    ran = models("show", "kling-o3-text2vid")
    assert ran.returncode == 1
    assert ran.stderr.strip() == "'kling-o3-text2vid' has no payload class; did you mean 'kling-o3-text2video'?"


def test_validate_says_good_with_a_price_and_bad_with_the_field(tmp_path):
    ran = models("validate", "kling-o3-text2video", "-", stdin=json.dumps(GOOD))
    assert (ran.returncode, ran.stdout.strip()) == (0, "valid. Price: $0.63 to $1.05")
    file = tmp_path / "payload.json"
    file.write_text(json.dumps({**GOOD, "duration": 2}))
    ran = models("validate", "kling-o3-text2video", str(file))
    assert ran.returncode == 1
    assert "duration: '2' is not allowed" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1


def test_validate_warns_of_what_it_cannot_check(tmp_path):
    ran = models("validate", "kling-o3-text2video", "-", stdin=json.dumps({**GOOD, "promt": "x"}))
    assert ran.returncode == 0
    assert "promt (did you mean prompt?)" in ran.stderr
    ran = models("validate", "kling-99", "-", stdin=json.dumps(GOOD))
    assert ran.returncode == 1
    assert "cannot be checked" in ran.stderr
    for path in ("nowhere.json", str(tmp_path)):
        ran = models("validate", "kling-o1", path)
        assert ran.returncode == 2
        assert "Traceback" not in ran.stderr


def test_a_reader_that_hangs_up_early_gets_no_traceback():
    command = f"{sys.executable} -m airflow_provider_kling models show kling-o3-text2video | true"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)  # noqa: S607, S603
    assert ran.stderr == ""


def test_what_needs_no_network_loads_no_http_library():
    code = (
        "import sys; from airflow_provider_kling.cli.standalone import main; main(['models', 'list']);"
        "assert not {'requests', 'aiohttp', 'airflow'} & set(sys.modules), sys.modules.keys()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0  # noqa: S603


def test_diff_agrees_with_a_live_list_that_has_not_changed(conn_id, airflow_db):
    ran = models("diff")
    # Airflow 2 tells on the same stream that it reads the connection.
    assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, ["The classes and the live list agree."]), ran.stderr


def test_diff_names_what_each_side_has_and_the_other_has_not(sim, conn_id, airflow_db):
    rows = [
        {"slug": "kling-4", "is_depreciated": False},
        {"slug": "kling-0", "is_depreciated": True},
        {"slug": "kling-o1", "is_depreciated": True},
        {"slug": "kling-2", "parameters_schema": {"properties": {"prompt": {}, "seed": {}}}},
        {"slug": "seedance-2"},
    ]
    sim.order_fault("respond", path="/inference-model-information/*", status=200, body={"Some Key": rows})
    ran = models("diff")
    assert ran.returncode == 1
    lines = ran.stdout.splitlines()
    assert "kling-4: listed, but has no class" in lines
    assert "kling-o1: retired" in lines
    assert "kling-2: parameter seed is listed, but not in V2Video" in lines
    assert "kling-2: parameter duration is in V2Video, but not listed" in lines
    assert "kling-o3-text2video: has a class, but is not listed" in lines
    assert not any("seedance" in line or "kling-0" in line for line in lines)


def test_diff_without_a_connection_says_how_to_make_one(airflow_db):
    ran = models("diff", "--conn-id", "nowhere")
    assert ran.returncode == 2
    assert "airflow connections add nowhere" in ran.stderr


@pytest.mark.skipif(not AIRFLOW_3_2, reason="providers add commands to Airflow's own from 3.2 on")
def test_the_commands_are_in_airflows_own_command_line(airflow_db):
    airflow = [sys.executable, "-m", "airflow", "kling", "models"]
    ran = subprocess.run([*airflow, "show", "kling-o1"], capture_output=True, text=True, check=True)  # noqa: S603
    assert "O1Image(image_urls=" in ran.stdout
    ran = subprocess.run([*airflow, "show", "kling-99"], capture_output=True, text=True, check=False)  # noqa: S603
    assert ran.returncode == 1


def test_the_page_of_models_tells_what_the_classes_tell():
    written = Path(__file__).parents[2].joinpath("docs", "models.md").read_text("utf-8")
    assert written == page(), "docs/models.md is out of date: run `make docs`"
