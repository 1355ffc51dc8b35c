"""Which Segmind is measured: the simulator, or Segmind itself once a person has agreed to what it costs."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_kling.payloads import V3TextToImage
from conform.probe import MODEL, payloads
from demo.problems import DemoError
from demo.target import SEGMIND, Target, ask_to_spend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from airflow_provider_kling.hooks.segmind import SegmindHook

CONN_ID = "segmind_conform"
#: How many times as fast as Segmind the simulator makes its jobs: they run long enough to be seen running.
TIME_SCALE = 60
#: Requests a minute that the simulator allows, and at which pace they are sent until its limit is looked for.
SIMULATED_LIMIT, SIMULATED_PACE = 150, 3000


def choose_live(console: Console) -> Target:
    """
    Name Segmind itself as the target, once a person has agreed to what it costs.

    :raises DemoError: there is no key, or nobody agrees.
    """
    key = os.environ.get("SEGMIND_API_KEY", "").strip()
    if not key:
        raise DemoError("LIVE=1 needs your API key: SEGMIND_API_KEY=SG_… make conform LIVE=1")
    host = os.environ.get("KLING_CONFORM_HOST") or SEGMIND
    cost = V3TextToImage.usual_cost
    jobs = payloads()
    free = sum(meant_to_fail for *_, meant_to_fail in jobs)
    console.print(f"This submits {len(jobs)} jobs to {MODEL} on {host}, ${cost:g} each; ", end="", highlight=False)
    console.print(f"{free} of them is meant to fail, which should cost nothing.", highlight=False)
    console.print(
        f"Together ${cost * (len(jobs) - free):g}, at the most ${cost * len(jobs):g}. Segmind sets the price; what is "
        "submitted cannot be cancelled. Then it asks for free answers, about one a second, for one to fifteen minutes.",
        highlight=False,
    )
    ask_to_spend(console)
    return Target(host, key, live=True)


@contextmanager
def connected(target: Target) -> Iterator[SegmindHook]:
    """Yield a hook on an Airflow connection to the target, in an Airflow home of its own."""
    pace = os.environ.get("REQUESTS_PER_MINUTE") or None  # as the connection's own field of that name
    extra = (
        {"requests_per_minute": pace}
        if target.live
        else {"time_scale": TIME_SCALE, "requests_per_minute": SIMULATED_PACE}
    )
    connection = {"conn_type": "segmind", "host": target.host, "password": target.api_key, "extra": extra}
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = json.dumps(connection)
    with tempfile.TemporaryDirectory(prefix="segmind-conform-") as home:
        os.environ["AIRFLOW_HOME"] = home
        # Airflow reads its environment when it is first imported.
        from airflow_provider_kling.hooks.segmind import SegmindHook

        yield SegmindHook(CONN_ID)
