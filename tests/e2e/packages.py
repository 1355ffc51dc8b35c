"""Programs that the tests need and Python packages do not bring: found, or installed where this is root on a Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def found_or_installed(find: Callable[[], T | None], package: str, advice: str) -> T:
    """
    Return what ``find`` finds, before or after Debian's package was installed.

    :param advice: what to do where it cannot be installed.
    """
    if found := find():
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {package} with apt-get …", flush=True)  # noqa: T201 a test that installs says so
        for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", package]):
            subprocess.run(  # noqa: S603 fixed arguments
                ["apt-get", *arguments],  # noqa: S607 wherever the system keeps it
                check=True,
                capture_output=True,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
        if found := find():
            return found
    raise RuntimeError(advice)
