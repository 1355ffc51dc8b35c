"""Where the demo's generations are sent: to the simulator, or to Segmind."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_kling.payloads import O1Image, O1ReferenceToVideo, O1VideoEdit
from demo.problems import DemoError

if TYPE_CHECKING:
    from rich.console import Console

SEGMIND = "https://api.segmind.com"
# What the example DAG submits, as far as its price depends on it.
PAYLOADS = (
    O1Image(prompt="{{ prompt }}", image_urls=["{{ picture }}"]),
    O1ReferenceToVideo(prompt="{{ prompt }}", image_urls=["{{ picture }}"], duration="5"),
    O1VideoEdit(prompt="{{ prompt }}", video_url="{{ video }}"),
)


@dataclass(frozen=True)
class Target:
    """A Segmind, real or simulated, and the key that it takes."""

    host: str
    api_key: str
    live: bool

    @property
    def name(self) -> str:
        """How a person knows it."""
        return "Segmind" if self.live else "a simulated Segmind"


def random_key() -> str:
    """Make a key in Segmind's form that occurs nowhere else, so that a search for it means something."""
    return f"SG_{secrets.token_hex(8)}"


def choose_live(console: Console) -> Target:
    """Name Segmind itself as the target, once a person has agreed to what it costs."""
    key = os.environ.get("SEGMIND_API_KEY", "").strip()
    if not key:
        raise DemoError("LIVE=1 needs your API key: SEGMIND_API_KEY=SG_… make demo LIVE=1")
    host = os.environ.get("KLING_DEMO_HOST") or SEGMIND
    console.print(f"This runs three paid generations on {host}:")
    for payload in PAYLOADS:
        usual = f"{payload.usual_latency:4.0f} s  {payload.estimate()}"
        console.print(f"  {payload.slug:<36} {usual}", highlight=False)
    total = sum(payload.usual_cost for payload in PAYLOADS)
    console.print(f"On average together ${total:.2f}. Segmind sets the price; what is submitted cannot be cancelled.")
    ask_to_spend(console)
    return Target(host, key, live=True)


def ask_to_spend(console: Console) -> None:
    """Go on only where a person agrees, or has said ``YES=1``."""
    if os.environ.get("YES") == "1":
        return
    if not sys.stdin.isatty():
        raise DemoError("Nobody is at the terminal to agree to the cost: run it from one, or say YES=1")
    if console.input("Spend it? yes/no: ").strip().lower() not in {"y", "yes"}:
        raise DemoError("Nothing was sent and nothing was spent")
