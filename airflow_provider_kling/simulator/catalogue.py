"""The published facts about each model, and the two checks a request goes through.

The gateway looks at a request before it takes the job (`admit`); the model looks at it while it runs
(`flaw`). What the gateway refuses costs a round trip; what the model refuses costs a job that ends FAILED.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class RefusedError(Exception):
    """The gateway will not take the request: an HTTP status and the text that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Parameter:
    """One row of a model's parameter table."""

    name: str
    type: str
    required: bool = False
    format: str | None = None
    default: Any = None
    enum: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    max_items: int | None = None
    max_length: int | None = None
    items: tuple[Parameter, ...] = ()
    confidence: str = "page"
    alternative: str | None = None  # may be sent in its place, where this one is required

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Parameter:
        """Read a row of the data file."""
        known = {**row, "enum": tuple(row.get("enum", ())), "items": tuple(map(cls.read, row.get("items", ())))}
        return cls(**known)

    def allows(self, value: Any) -> bool:
        """Tell whether the value is in the declared fixed set; anything is where none is declared.

        In a set of numbers "5" and 5 are the same value: the pages declare one and send the other.
        """
        if not self.enum:
            return True
        numbers = [_number(member) for member in self.enum]
        if None in numbers:
            return value in self.enum
        return _number(value) in numbers and _number(value) is not None

    def flaw(self, value: Any) -> str | None:
        """Name what the model would stumble over, or nothing."""
        if self.enum:
            return None
        if not self._fits(value):
            return f"{self.name} must be {self.type}"
        number = _number(value)
        if self.minimum is not None and (number is None or number < self.minimum):
            return f"{self.name} must be at least {self.minimum}"
        if self.maximum is not None and (number is None or number > self.maximum):
            return f"{self.name} must be at most {self.maximum}"
        if self.max_length is not None and len(value) > self.max_length:
            return f"{self.name} must have at most {self.max_length} characters"
        if isinstance(value, list):
            return self._flaw_of_items(value)
        return None

    def schema(self) -> dict[str, Any]:
        """Describe the parameter as the public model list does."""
        kind = {"string[]": "array", "object[]": "array"}.get(self.type, self.type)
        bounds = {"minimum": self.minimum, "maximum": self.maximum, "maxItems": self.max_items}
        told = {"format": self.format, "default": self.default, "enum": list(self.enum) or None, **bounds}
        return {"type": kind, **{name: fact for name, fact in told.items() if fact is not None}}

    def _fits(self, value: Any) -> bool:
        match self.type:
            case "string":
                # O1 pages declare elements a string and describe a list; which one is sent is an open question.
                return isinstance(value, str) or (self.name == "elements" and isinstance(value, list))
            case "boolean":
                return isinstance(value, bool)
            case "integer":
                number = _number(value)
                return number is not None and number.is_integer()
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "string[]":
                return isinstance(value, list) and all(isinstance(item, str) for item in value)
            case _:
                return isinstance(value, list) and all(isinstance(item, dict) for item in value)

    def _flaw_of_items(self, value: list[Any]) -> str | None:
        if self.max_items is not None and len(value) > self.max_items:
            return f"{self.name} takes at most {self.max_items} items"
        for item in value:
            for part in self.items if isinstance(item, dict) else ():
                if item.get(part.name) is None:
                    if part.required:
                        return f"{self.name}: {part.name} is required"
                elif flaw := part.flaw(item[part.name]):
                    return f"{self.name}: {flaw}"
        return None


@dataclass(frozen=True)
class Model:
    """What is published about one model."""

    slug: str
    title: str
    output: str
    latency: float
    cost: float  # the average of all runs
    complete: bool
    parameters: tuple[Parameter, ...] = field(repr=False)
    example: Mapping[str, Any] = field(repr=False)
    retired: bool = False
    price_range: tuple[float, float] | None = None

    def parameter(self, name: str) -> Parameter | None:
        """Find a parameter by its name."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def admit(self, body: Mapping[str, Any]) -> None:
        """Let the request in, or raise what the gateway answers before any job exists."""
        for parameter in self.parameters:
            value = body.get(parameter.name)
            if value is None:
                if parameter.required and not body.get(parameter.alternative or ""):
                    raise RefusedError(400, f"Missing required field: {parameter.name}")
            elif not parameter.allows(value):
                allowed = ", ".join(map(str, parameter.enum))
                raise RefusedError(406, f"Invalid value for {parameter.name}: {value!r}. Allowed values: {allowed}")

    def flaw(self, body: Mapping[str, Any]) -> str | None:
        """Name what makes the run fail although the gateway let the request in, or nothing."""
        for name, value in body.items():
            parameter = self.parameter(name)
            if parameter is None:
                if self.complete:
                    return f"Unexpected parameter: {name}"
            elif value is not None and (flaw := parameter.flaw(value)):
                return flaw
            elif parameter.required and (value == [] or (isinstance(value, str) and not value.strip())):
                return f"{name} is mandatory and must not be empty"
        return None

    def setting(self, body: Mapping[str, Any], name: str) -> Any:
        """Give the value that counts: the one sent, else the declared default."""
        parameter = self.parameter(name)
        sent = body.get(name)
        return sent if sent is not None or parameter is None else parameter.default

    def price(self, body: Mapping[str, Any]) -> float:
        """Give what a run costs when it completes.

        A page that names two prices means the shortest video and the longest: what lies between is billed by its
        length. How mode, resolution and sound share in it is not published, so they change nothing. Where no prices
        are, or no lengths, each run costs the average.
        """
        duration = self.parameter("duration")
        lengths = sorted(filter(None, map(_number, duration.enum))) if duration else []
        if self.price_range is None:
            return self.cost
        low, high = self.price_range
        if low == high:
            return low
        seconds = _number(self.setting(body, "duration"))
        if len(lengths) < 2 or seconds is None:  # noqa: PLR2004  a line takes two points
            return self.cost
        part = (seconds - lengths[0]) / (lengths[-1] - lengths[0])
        return round(low + part * (high - low), 4)

    def row(self) -> dict[str, Any]:
        """Describe the model as the public model list does; `is_depreciated` is spelt as it is there."""
        schema = {
            "type": "object",
            "properties": {parameter.name: parameter.schema() for parameter in self.parameters},
            "required": [parameter.name for parameter in self.parameters if parameter.required],
        }
        return {
            "slug": self.slug,
            "name": self.title,
            "is_depreciated": self.retired,
            "parameters_schema": schema,
        }


class Catalogue:
    """Every model, by its slug."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = {model.slug: model for model in models}

    @classmethod
    def load(cls, retired: Sequence[str] = ()) -> Catalogue:
        """Read the data file that ships with the package; `retired` slugs answer 410."""
        text = files("airflow_provider_kling.simulator").joinpath("catalogue.json").read_text("utf-8")
        return cls([_model(row, retired=row["slug"] in retired) for row in json.loads(text)["models"]])

    def get(self, slug: str) -> Model:
        """Find the model, or raise the 404 or 410 of the gateway."""
        model = self.models.get(slug)
        if model is None:
            raise RefusedError(404, f"Model {slug} not found")
        if model.retired:
            raise RefusedError(410, f"Model {slug} has been retired")
        return model


def _model(row: Mapping[str, Any], *, retired: bool) -> Model:
    latency = row["latency_seconds"]
    prices = [(page["low"], page["high"]) for page in row["price_usd"]["page"] if "low" in page]
    return Model(
        slug=row["slug"],
        title=row["title"],
        output=row["output"],
        # The page's own reading is the newest; the average covers pages that show none.
        latency=latency["page"][0] if latency["page"] else latency["average"],
        cost=row["price_usd"]["average"],
        complete=row["parameters_complete"],
        parameters=tuple(map(Parameter.read, row["parameters"])),
        example=row["example"],
        retired=retired,
        price_range=prices[0] if prices else None,
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
