"""Run a simulator until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from airflow_provider_kling.simulator import missing_extra
from airflow_provider_kling.simulator.access import is_loopback
from airflow_provider_kling.simulator.history_habits import Habits
from airflow_provider_kling.simulator.settings import Settings

NO_LOGIN = (
    "Whoever reaches this address can read what was sent, and order faults: that takes no key. Use it in a network "
    "that you trust."
)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; print the base URL once it answers."""
    usual = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_kling.simulator",
        description="A Segmind on this machine. It draws what it is asked for and bills credits that do not exist.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="port; 0 picks a free one (default: %(default)s)")
    parser.add_argument(
        "--time-scale",
        type=float,
        default=usual.time_scale,
        help="how many times faster than Segmind (default: %(default)s)",
    )
    parser.add_argument("--api-key", default=usual.api_key, help="the one key that is accepted (default: %(default)s)")
    parser.add_argument(
        "--requests-per-minute",
        type=int,
        default=usual.requests_per_minute,
        help="polls included; 0 = unlimited (default: %(default)s)",
    )
    parser.add_argument("--credits", type=float, default=usual.credits, help="starting balance (default: %(default)s)")
    parser.add_argument(
        "--height", type=int, default=usual.height, help="short side of what is drawn, in pixels (default: %(default)s)"
    )
    parser.add_argument(
        "--history",
        metavar="JSON",
        default="{}",
        help='in what the request history behaves otherwise, such as {"row_after": 900} (default: in nothing)',
    )
    options = parser.parse_args(arguments)
    try:
        settings = Settings(
            api_key=options.api_key,
            time_scale=options.time_scale,
            requests_per_minute=options.requests_per_minute,
            credits=options.credits,
            height=options.height,
            history=Habits.read(json.loads(options.history)),
            host=options.host,
        )
    except ValueError as error:
        parser.error(str(error))
    try:
        return asyncio.run(_serve(settings, options.port))
    except ModuleNotFoundError as error:
        print(missing_extra(error), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1


async def _serve(settings: Settings, port: int) -> int:
    # Imported here: a missing extra shall be told in one line, not in a traceback.
    from airflow_provider_kling.simulator.server import serve

    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with serve(settings, port) as (url, _):
        print(f"Segmind simulator at {url}", flush=True)
        if not is_loopback(settings.host):
            print(NO_LOGIN, file=sys.stderr)
        await stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
