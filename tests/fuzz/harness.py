"""
What a fuzz test is: an ordinary Hypothesis test with few examples, and a target that `make fuzz` gives many.

The arguments that broke one are kept as a file, cases/NAME/….txt, and tried again whenever the tests run.
"""

from __future__ import annotations

import hashlib
import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, settings

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parent / "cases"
#: Examples of a target while the tests run.
FEW = 25
_ANY_SPEED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@dataclass
class Target:
    """A function that fails where something comes out that may not, and what it is called with."""

    check: Callable[..., None]
    strategies: dict[str, Any]
    few: int
    examples: int = 0
    failed: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.check.__name__.removeprefix("test_")

    def fuzz(self) -> None:
        """Try it with other arguments; of those that break it the smallest are kept in a file."""

        @settings(max_examples=10 * self.few, database=None, print_blob=False, **_ANY_SPEED)
        @given(**self.strategies)
        def counted(**arguments: Any) -> None:
            self.examples += 1
            try:
                self.check(**arguments)
            except BaseException:
                self.failed = arguments  # Hypothesis ends with the smallest
                raise

        counted()

    def keep(self) -> Path:
        """Write the arguments that broke it into a file, and return that."""
        text = ", ".join(f"{name}={value!r}" for name, value in (self.failed or {}).items())
        file = CASES / self.name / f"{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"dict({text})\n", encoding="ascii", errors="backslashreplace")
        return file


TARGETS: dict[str, Target] = {}
#: What targets have started, and share.
RUNNING = ExitStack()


def fuzz(few: int = FEW, **strategies: Any) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Make a function an ordinary test, with a few examples, and a target."""

    def decorate(check: Callable[..., None]) -> Callable[[], None]:
        target = Target(check, strategies, few)
        TARGETS[target.name] = target
        phases = [phase for phase in Phase if phase is not Phase.explain]
        return settings(max_examples=few, phases=phases, **_ANY_SPEED)(given(**strategies)(check))

    return decorate


def kept_cases() -> list[tuple[str, Path]]:
    """Return the cases that were found once, with their targets."""
    return sorted((file.parent.name, file) for file in CASES.glob("*/*.txt"))


def read_case(file: Path) -> dict[str, Any]:
    """Return the arguments in a file of this folder."""
    words = {"dict": dict, "nan": math.nan, "inf": math.inf, "__builtins__": {}}
    arguments: dict[str, Any] = eval(file.read_text("ascii"), words)  # noqa: S307 it is a file of this repository
    return arguments
