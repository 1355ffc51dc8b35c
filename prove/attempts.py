"""
One attempt of the real protocol that can be copied.

A generator cannot be. So its answers are written down with the time of each: a copy runs them again when it
is needed. What an attempt will do from here on is told by where its frames stand and by their local names.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from prove.assumptions import moment, since_start
from prove.liveness import live_names

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from airflow_provider_kling.submission.record import Record
    from airflow_provider_kling.submission.steps import Step
    from airflow_provider_kling.submission.submission import Submission

    #: Goes through an attempt at a submission.
    Protocol = Callable[[Submission], Generator[Step, Any, Record]]

_SIMPLE = {type(None), bool, int, float, str}
#: Local names that are the same in each state of an attempt: its settings and its clock.
_CONSTANT = {"self", "submission", "guard", "clock"}


@dataclass(slots=True)
class Clock:
    """
    A worker's clock.

    :param ahead: microseconds that it is ahead of the true time.
    :param now: the true time.
    """

    ahead: int
    now: int = 0

    def read(self) -> datetime:
        """Return what the worker takes for the time."""
        return moment(self.now + self.ahead)


@dataclass(frozen=True, slots=True)
class Throw:
    """An error as the answer to a step; a new one each time, since an error keeps where it has been raised."""

    make: Callable[[], Exception]


class Attempt:
    """
    A generator of steps, and what it has been answered so far.

    :param begin: makes the generator, for a clock.
    :param ahead: microseconds that the worker's clock is ahead.
    :param now: when it begins.
    """

    __slots__ = ("_ahead", "_begin", "_clock", "_generator", "_log", "step")

    def __init__(self, begin: Callable[[Clock], Generator[Step, Any, Record]], ahead: int, now: int) -> None:
        self._begin = begin
        self._ahead = ahead
        self._log: tuple[tuple[int, Any], ...] = ((now, None),)
        self._generator: Generator[Step, Any, Record] | None = None
        self._clock = Clock(ahead)
        self.step: Step = self._rebuild()

    def fork(self) -> Attempt:
        """Return a copy; the generator itself goes to the copy that is made first."""
        other = Attempt.__new__(Attempt)
        for name in Attempt.__slots__:
            setattr(other, name, getattr(self, name))
        self._generator = None
        return other

    def answer(self, now: int, value: Any) -> Step:
        """
        Answer the step; return the next one.

        :raises StopIteration: the attempt has returned.
        :raises Exception: it has failed.
        """
        if self._generator is None:
            self._rebuild()
        self._log = (*self._log, (now, value))
        self.step = self._put(now, value)
        return self.step

    def position(self) -> tuple[Any, ...]:
        """Return what the attempt's future depends on, right after an answer."""
        frames: list[Any] = [plain(self.step)]
        generator: Any = self._generator
        while isinstance(generator, GeneratorType):
            frame: Any = generator.gi_frame
            live = live_names(frame.f_code, frame.f_lasti) - _CONSTANT
            names = tuple(
                [
                    (name, plain(value))
                    for name, value in frame.f_locals.items()
                    if name in live and not isinstance(value, GeneratorType)
                ]
            )
            frames.append((frame.f_code.co_name, frame.f_lasti, names))
            generator = generator.gi_yieldfrom
        return tuple(frames)

    def _rebuild(self) -> Step:
        self._clock = Clock(self._ahead, self._log[0][0])
        self._generator = self._begin(self._clock)
        step = next(self._generator)
        for now, value in self._log[1:]:
            step = self._put(now, value)
        return step

    def _put(self, now: int, value: Any) -> Step:
        generator = self._generator
        if generator is None:
            raise RuntimeError("the generator is not there")
        self._clock.now = now
        return generator.throw(value.make()) if isinstance(value, Throw) else generator.send(value)


def plain(value: Any) -> Any:
    """
    Return a value as numbers, texts and tuples.

    :raises TypeError: its kind is not known here, so that nothing is left out of a state in silence.
    """
    kind = type(value)
    if kind in _SIMPLE:
        return value
    make = _PLAIN.get(kind) or _maker(kind)
    return make(value)


def _maker(kind: type) -> Callable[[Any], Any]:
    """Return what makes values of the kind plain, and keep it for the next one."""
    make: Callable[[Any], Any]
    if issubclass(kind, BaseModel):
        make = _model
    elif issubclass(kind, Exception):
        make = _error
    elif is_dataclass(kind):
        names = tuple(field.name for field in fields(kind))

        def make(value: Any) -> Any:
            return (kind.__name__, *[plain(getattr(value, name)) for name in names])
    else:
        raise TypeError(f"{kind.__name__} in an attempt's frame: prove.attempts.plain does not know it")
    _PLAIN[kind] = make
    return make


def _model(value: BaseModel) -> Any:
    # A record is asked for again and again, and never changes. It is kept beside what it was made to, so that no other
    # object has its id.
    known = _MODELS.get(id(value))
    if known is None:
        if len(_MODELS) > _MODELS_AT_MOST:
            _MODELS.clear()
        known = _MODELS[id(value)] = value, (type(value).__name__, value.model_dump_json())
    return known[1]


def _error(value: Exception) -> Any:
    return (type(value).__name__, *[plain(getattr(value, fact, None)) for fact in _FACTS])


def _time(value: datetime) -> Any:
    return since_start(value) if value.tzinfo is not None else value.isoformat()


def _sequence(value: Sequence[Any]) -> Any:
    return tuple([plain(inner) for inner in value])


_FACTS = ("request_id", "status_code", "look_again_at", "candidates", "reset_at")
_MODELS: dict[int, tuple[BaseModel, Any]] = {}
_MODELS_AT_MOST = 50_000
_PLAIN: dict[type, Callable[[Any], Any]] = {
    list: _sequence,
    tuple: _sequence,
    datetime: _time,
    timedelta: lambda value: value // timedelta(microseconds=1),
    dict: lambda value: tuple((name, plain(value[name])) for name in sorted(value)),
    set: lambda value: tuple(sorted(value)),
    frozenset: lambda value: tuple(sorted(value)),
}
