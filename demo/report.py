"""What a person gets at the end: a table, `summary.json` and the storyboard."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from airflow_provider_kling import __version__
from demo.media import describe
from demo.storyboard import Scene, Storyboard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from demo.pictures import Pictures
    from demo.steps import Outcome
    from demo.target import Target


def table(outcomes: Sequence[Outcome]) -> Table:
    """Lay out the steps with their cost and files."""
    result = Table(box=box.SIMPLE_HEAD)
    for heading, justify in (("step", "left"), ("model", "left"), ("request id", "left"), ("seconds", "right")):
        result.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    result.add_column("cost", justify="right")
    result.add_column("file")
    for outcome in outcomes:
        result.add_row(
            outcome.step.title,
            outcome.model,
            outcome.request_id,
            f"{outcome.seconds:.1f}",
            f"${outcome.cost:.3f}",
            outcome.file.name,
        )
    return result


def write_summary(file: Path, outcomes: Sequence[Outcome], pictures: Pictures, target: Target) -> None:
    """Write the run down for a program to read."""
    summary = {
        "target": target.host if target.live else "simulator",
        "airflow": version("apache-airflow"),
        "provider": __version__,
        "inputs": pictures.params,
        "steps": [
            {
                "step": outcome.step.name,
                "model": outcome.model,
                "request_id": outcome.request_id,
                "seconds": round(outcome.seconds, 2),
                "cost": outcome.cost,
                "metrics": outcome.metrics,
                "url": outcome.url,
                "file": str(outcome.file.relative_to(file.parent)),
                "description": str(outcome.sidecar.relative_to(file.parent)),
                "media": describe(outcome.file),
            }
            for outcome in outcomes
        ],
        "total_cost": round(sum(outcome.cost for outcome in outcomes), 6),
    }
    file.write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def draw_storyboard(file: Path, outcomes: Sequence[Outcome], pictures: Pictures, target: Target) -> None:
    """Draw the run as one picture."""
    image, video, edit = (
        Scene(
            title=f"{outcome.step.number}   {outcome.step.name.capitalize()}",
            details=(outcome.model, f"{outcome.seconds:.1f} s", f"${outcome.cost:.3f}"),
            file=outcome.file,
        )
        for outcome in outcomes
    )
    storyboard = Storyboard(
        title="Image, then video, then edit",
        subtitle=f"one DAG on Airflow {version('apache-airflow')}",
        figure=pictures.figure,
        place=pictures.place,
        image=image,
        video=video,
        edit=edit,
        footer=f"${sum(outcome.cost for outcome in outcomes):.3f} for three jobs on {target.name}",
    )
    storyboard.draw().save(file, optimize=True)
