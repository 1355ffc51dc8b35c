"""How one simulator differs from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_API_KEY = "SG_0000000000000000"


@dataclass(frozen=True)
class Settings:
    """What a simulator is started with.

    `upload_key` names the field of an upload's answer that holds the URLs: published sources disagree
    between `file_urls` and `urls`. `retired` slugs answer 410.
    """

    api_key: str = DEFAULT_API_KEY
    time_scale: float = 20.0
    requests_per_minute: int = 60
    credits: float = 100.0
    height: int = 720
    upload_key: str = "file_urls"
    retired: Sequence[str] = ()
