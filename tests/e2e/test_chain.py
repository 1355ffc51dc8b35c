"""The main job, as a user runs it: picture, video, edit. A task downstream asserts each type and value it is handed."""

from __future__ import annotations

import pytest

from tests.e2e.chains import GENERATES, PAIRS, assert_one_chain, dag_file

CHAINS = {"pairs": PAIRS, "generates": GENERATES}


@pytest.fixture(scope="module")
def triggered(running, sim):
    """Trigger the chains side by side."""
    running.write_dags({name: dag_file(body, name, sim) for name, body in CHAINS.items()})
    for name in CHAINS:
        running.trigger(name, f"{name}-1")


@pytest.mark.usefixtures("triggered")
@pytest.mark.parametrize("name", CHAINS)
def test_picture_video_and_edit_chain_and_hand_on_plain_values(running, sim, name):
    assert running.run_ends(f"{name}-1") == "success", running.last_words()
    assert set(running.states(f"{name}-1")) == {"success"}
    assert_one_chain(sim, f"{name}-1")
