"""The shape of the house: what is public, how long a module is, and that imports run in no circle."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import airflow_provider_kling

ROOT = Path(airflow_provider_kling.__file__).parent
#: What users may count on, beside the XComs that ``xcoms.py`` calls public and the classes of ``payloads``.
PUBLIC = {
    "budget": {"KlingBudget"},
    "hooks.segmind": {"SegmindAsyncHook", "SegmindHook"},
    "operators.cost": {"KlingRunCostOperator"},
    "operators.kling": {"KlingGenerateOperator", "KlingSubmitOperator"},
    "sensors.credits": {"KlingCreditsSensor"},
    "sensors.kling": {"KlingSensor"},
    "simulator": {"Simulator"},
    "storage.store": {"Store"},
    "transfers.object_storage_to_segmind": {"ObjectStorageToSegmindOperator"},
    "transfers.segmind_to_object_storage": {"SegmindToObjectStorageOperator"},
    "triggers.credits": {"KlingCreditsTrigger"},
    "triggers.kling": {"KlingTrigger"},
}
LONGEST_MODULE = 300


def modules():
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path, known):
    """Return the package's modules that a file imports, those for type checking included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in known:
            inner = {f"{node.module}.{name.name}" for name in node.names} & known.keys()
            yield from inner or {node.module}


@pytest.mark.parametrize("module", PUBLIC)
def test_what_a_module_offers_is_what_users_may_count_on(module):
    found = import_module(f"airflow_provider_kling.{module}")
    assert set(found.__all__) == PUBLIC[module]
    assert all(getattr(found, name) is not None for name in found.__all__)


def test_all_errors_and_all_payload_classes_are_public():
    from airflow_provider_kling import payloads
    from airflow_provider_kling.segmind import errors

    told = set(re.findall(r"^ *[*+-] (\w+Error)\b", errors.__doc__, re.MULTILINE))
    assert {name for name in vars(errors) if name.endswith("Error")} == told
    assert {"O1Image", "O3ImageToVideo", "get_payload_class", "known_slugs"} <= set(payloads.__all__)


def test_no_module_is_longer_than_one_reading():
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_modules_import_each_other_in_no_circle():
    known = modules()
    order = TopologicalSorter({name: set(imports(path, known)) - {name} for name, path in known.items()})
    assert len(list(order.static_order())) == len(known)
