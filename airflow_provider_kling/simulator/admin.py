"""The routes Segmind does not have: order faults, move the clock, look into the books. They need no key."""

from __future__ import annotations

import html
from dataclasses import asdict
from typing import Any

from aiohttp import web

from airflow_provider_kling.simulator.catalogue import RefusedError
from airflow_provider_kling.simulator.faults import Order
from airflow_provider_kling.simulator.history_habits import Habits
from airflow_provider_kling.simulator.json_body import read_json
from airflow_provider_kling.simulator.ledger import ledger
from airflow_provider_kling.simulator.service import SERVICE

ROUTES = web.RouteTableDef()

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Segmind simulator</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #223 }}
 table {{ border-collapse: collapse; width: 100% }}
 td, th {{ text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #dde; vertical-align: top }}
 code {{ font-size: .9em }} .FAILED {{ color: #b32 }} .COMPLETED {{ color: #175 }}
</style></head><body>
<h1>Segmind simulator</h1>
<p>This is not Segmind. It answers like it, draws its own pictures and films, and spends credits that do not exist.
Balance: <b>{remaining_credits:.4f}</b>, billed so far: <b>{billed:.4f}</b>.</p>
<p>More: <a href="/simulator/ledger">ledger</a>, <a href="/simulator/requests">requests</a>,
<a href="/inference-model-information/list">models</a>, input pictures
<a href="/simulator/inputs/robot.png">robot.png</a> and <a href="/simulator/inputs/beach.png">beach.png</a>.</p>
<table><tr><th>model</th><th>status</th><th>billed</th><th>prompt</th><th>output</th></tr>{rows}</table>
</body></html>"""

ROW = (
    '<tr><td>{model}<br><code>{request_id}</code></td><td class="{status}">{status}</td><td>{cost_billed:.4f}</td>'
    "<td>{prompt}</td><td>{link}</td></tr>"
)


@ROUTES.get("/")
async def home(request: web.Request) -> web.Response:
    """Show a person what this is and what it has made."""
    told = ledger(request.app[SERVICE].books, str(request.url.origin()))
    rows = ""
    for job in reversed(told["jobs"]):
        prompt = html.escape(str(job["inputs"].get("prompt", "")))
        link = f'<a href="{html.escape(job["url"])}">open</a>' if job["url"] else ""
        rows += ROW.format(**{**job, "prompt": prompt, "link": link})
    return web.Response(text=PAGE.format(**{**told, "rows": rows}), content_type="text/html")


@ROUTES.post("/simulator/faults")
async def order_fault(request: web.Request) -> web.Response:
    """Order a fault for the next requests that match."""
    try:
        request.app[SERVICE].faults.order(Order.read(read_json(await request.read())))
    except ValueError as error:
        raise RefusedError(400, str(error)) from None
    return web.json_response({"ordered": True})


@ROUTES.delete("/simulator/faults")
async def clear_faults(request: web.Request) -> web.Response:
    """Withdraw every fault that has not struck yet."""
    request.app[SERVICE].faults.clear()
    return web.json_response({"cleared": True})


@ROUTES.post("/simulator/history")
async def change_history(request: web.Request) -> web.Response:
    """Let the history behave otherwise from now on, in what is named; the rest is as usual."""
    try:
        request.app[SERVICE].habits = Habits.read(read_json(await request.read()))
    except ValueError as error:
        raise RefusedError(400, str(error)) from None
    return web.json_response(asdict(request.app[SERVICE].habits))


@ROUTES.post("/simulator/key")
async def rotate_key(request: web.Request) -> web.Response:
    """Give the account another key; the old one is refused from now on."""
    try:
        key = read_json(await request.read())["api_key"]
    except (ValueError, LookupError, TypeError):
        raise RefusedError(400, '{"api_key": key} is the account\'s key from now on') from None
    request.app[SERVICE].api_key = str(key)
    return web.json_response({"rotated": True})


@ROUTES.get("/simulator/ledger")
async def show_ledger(request: web.Request) -> web.Response:
    """List the accepted jobs and what they cost."""
    return web.json_response(ledger(request.app[SERVICE].books, str(request.url.origin())))


@ROUTES.get("/simulator/uploads")
async def show_uploads(request: web.Request) -> web.Response:
    """List the files that were uploaded, one entry for each time."""
    return web.json_response({"uploads": request.app[SERVICE].uploads(str(request.url.origin()))})


@ROUTES.get("/simulator/requests")
async def show_requests(request: web.Request) -> web.Response:
    """List what was asked of the API, and what was downloaded."""
    journal = request.app[SERVICE].journal
    return web.json_response({"requests": journal.calls(), "downloads": journal.downloads()})


@ROUTES.post("/simulator/clock")
async def advance_clock(request: web.Request) -> web.Response:
    """Move the clock on, for what takes an hour or a week to expire."""
    service = request.app[SERVICE]
    try:
        order: Any = read_json(await request.read())
        service.clock.advance(float(order["advance"]))
    except (ValueError, LookupError, TypeError):
        raise RefusedError(400, '{"advance": seconds} moves the clock on; it does not go back') from None
    return web.json_response({"now": service.clock.now()})


@ROUTES.get("/simulator/health")
async def health(request: web.Request) -> web.Response:
    """Tell that the simulator is up."""
    return web.json_response({"ok": True, "time_scale": request.app[SERVICE].settings.time_scale})
