"""The two pictures that the DAG starts from. The project draws them itself; the simulator serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.media import download

if TYPE_CHECKING:
    from pathlib import Path

FIGURE = "/simulator/inputs/robot.png"
PLACE = "/simulator/inputs/beach.png"


@dataclass(frozen=True)
class Pictures:
    """The pictures, as files here."""

    figure: Path
    place: Path

    @property
    def params(self) -> dict[str, str]:
        """The DAG's own parameters."""
        return {"figure": str(self.figure), "place": str(self.place)}


def fetch(simulator: str, folder: Path) -> Pictures:
    """Copy the pictures from a simulator into a folder."""
    pictures = Pictures(folder / "0-figure.png", folder / "0-place.png")
    download(f"{simulator}{FIGURE}", pictures.figure)
    download(f"{simulator}{PLACE}", pictures.place)
    return pictures
