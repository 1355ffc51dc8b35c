"""How one simulator differs from another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_kling.simulator.access import is_loopback
from airflow_provider_kling.simulator.history_habits import Habits

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_API_KEY = "SG_0000000000000000"
SMALLEST_HEIGHT = 32


@dataclass(frozen=True)
class Settings:
    """What a simulator is started with.

    `upload_key` names the field of an upload's answer that holds the URLs: published sources disagree
    between `file_urls` and `urls`. `retired` slugs answer 410. `history` is how the request history behaves. `host`
    is the address that it listens on.
    """

    api_key: str = DEFAULT_API_KEY
    time_scale: float = 20.0
    requests_per_minute: int = 60
    credits: float = 100.0
    height: int = 720
    upload_key: str = "file_urls"
    retired: Sequence[str] = ()
    history: Habits = field(default_factory=Habits)
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if not 0 < self.time_scale < math.inf:
            raise ValueError("time_scale is how many times faster than Segmind: more than 0")
        if self.api_key == DEFAULT_API_KEY and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached by others, and the usual key is known to all: give one of your own "
                "(--api-key), or listen on 127.0.0.1"
            )
        if self.height < SMALLEST_HEIGHT:
            raise ValueError(f"height is at least {SMALLEST_HEIGHT} pixels: no film is smaller")
