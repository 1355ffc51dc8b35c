"""The two pictures that the DAG starts from. The project draws them itself; the simulator serves them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from demo.airflow_home import ROOT
from demo.media import download
from demo.problems import DemoError

if TYPE_CHECKING:
    from demo.airflow_home import AirflowHome

FIGURE = "/simulator/inputs/robot.png"
PLACE = "/simulator/inputs/beach.png"


@dataclass(frozen=True)
class Pictures:
    """The pictures as files here, and where the generations find them."""

    figure: Path
    place: Path
    figure_url: str
    place_url: str

    @property
    def params(self) -> dict[str, str]:
        """The DAG's own parameters."""
        return {"figure_url": self.figure_url, "place_url": self.place_url}


def fetch(simulator: str, folder: Path) -> Pictures:
    """Copy the pictures from a simulator into a folder."""
    pictures = Pictures(folder / "0-figure.png", folder / "0-place.png", f"{simulator}{FIGURE}", f"{simulator}{PLACE}")
    download(pictures.figure_url, pictures.figure)
    download(pictures.place_url, pictures.place)
    return pictures


def upload(pictures: Pictures, home: AirflowHome) -> Pictures:
    """Put the pictures where Segmind can fetch them, through the hook and the connection of an Airflow."""
    with tempfile.NamedTemporaryFile("r") as answer:
        done = subprocess.run(
            [sys.executable, "-m", "demo.upload", answer.name, str(pictures.figure), str(pictures.place)],
            env=home.env,
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise DemoError((done.stderr.strip().splitlines() or ["The pictures could not be uploaded"])[-1])
        figure_url, place_url = json.loads(Path(answer.name).read_text())
    return Pictures(pictures.figure, pictures.place, figure_url, place_url)
