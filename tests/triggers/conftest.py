from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blockbuster import blockbuster_ctx

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """Fail what sleeps, opens a file or waits for a socket on the event loop, which all waits of a process share."""
    with blockbuster_ctx("airflow_provider_kling", excluded_modules=["airflow_provider_kling.simulator"]) as guard:
        for function in guard.functions.values():
            # How Airflow finds a connection is its own affair.
            function.can_block_in("airflow/sdk/execution_time/context.py", "_async_get_connection")
        yield
