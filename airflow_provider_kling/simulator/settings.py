"""How one simulator differs from another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_kling.simulator.habits import Habits

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_API_KEY = "SG_0000000000000000"
SMALLEST_HEIGHT = 32


@dataclass(frozen=True)
class Settings:
    """What a simulator is started with.

    `upload_key` names the field of an upload's answer that holds the URLs: published sources disagree
    between `file_urls` and `urls`. `retired` slugs answer 410. `history` is how the request history behaves.
    """

    api_key: str = DEFAULT_API_KEY
    time_scale: float = 20.0
    requests_per_minute: int = 60
    credits: float = 100.0
    height: int = 720
    upload_key: str = "file_urls"
    retired: Sequence[str] = ()
    history: Habits = field(default_factory=Habits)

    def __post_init__(self) -> None:
        if self.time_scale <= 0:
            raise ValueError("time_scale is how many times faster than Segmind: more than 0")
        if self.height < SMALLEST_HEIGHT:
            raise ValueError(f"height is at least {SMALLEST_HEIGHT} pixels: no film is smaller")
