from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_kling.get_provider_info import CONNECTION_FIELDS, get_provider_info
from airflow_provider_kling.hooks.segmind import SegmindHook
from tests.conftest import AIRFLOW_3, AIRFLOW_3_1


def test_the_metadata_is_valid_against_the_schema_inside_this_airflow():
    schema = json.loads(Path(airflow.__file__).with_name("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_entry_point_names_the_function():
    (found,) = [e for e in entry_points(group="apache_airflow_provider") if e.dist.name == "airflow-provider-kling"]
    assert found.load() is get_provider_info


def test_reading_the_metadata_imports_nothing_of_airflow():
    code = (
        "import sys; from airflow_provider_kling.get_provider_info import get_provider_info; get_provider_info();"
        "print([m for m in sys.modules if m.split('.')[0] in ('airflow', 'requests', 'aiohttp', 'pydantic')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert found.stdout.strip() == "[]"


def test_every_class_and_module_that_the_metadata_names_exists():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            assert all(importlib.import_module(module) for module in entry["python-modules"])
    paths = [*info["extra-links"], *(entry["hook-class-name"] for entry in info["connection-types"])]
    for path in paths:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)


def test_airflow_finds_the_provider_its_connection_type_and_its_link(airflow_db):
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    manager.initialize_providers_hooks()
    assert "airflow-provider-kling" in manager.providers
    assert manager.hooks["segmind"].hook_name == "Segmind"
    assert "airflow_provider_kling.links.kling.KlingOutputLink" in manager.extra_links_class_names


@pytest.mark.skipif(AIRFLOW_3, reason="Airflow 3 has another form")
def test_airflow_2_shows_a_form_with_every_field_of_the_connection_and_help_texts(airflow_db):
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    manager.initialize_providers_hooks()
    assert manager.hooks["segmind"] is not None  # this loads the hook, and with it the form
    shown = {name.removeprefix("extra__segmind__") for name in manager.connection_form_widgets if "segmind" in name}
    assert shown == set(CONNECTION_FIELDS)
    behaviour = manager.field_behaviours["segmind"]
    assert behaviour["relabeling"] == {"password": "API key", "host": "Base URL"}
    assert {"login", "schema", "port"} <= set(behaviour["hidden_fields"])
    assert behaviour["placeholders"]["host"] == "https://api.segmind.com"
    for name, widget in SegmindHook.get_connection_form_widgets().items():
        assert widget.kwargs["description"] == CONNECTION_FIELDS[name]["description"]


@pytest.mark.skipif(not AIRFLOW_3_1, reason="Airflow 3.0 shows no provider's fields without Flask-AppBuilder")
def test_airflow_3_shows_a_form_with_every_field_of_the_connection(airflow_db):
    code = (
        "from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService;"  # what the UI asks
        "print(*[h.model_dump_json() for h in HookMetaService.hook_meta_data() if h.connection_type == 'segmind'])"
    )
    # Airflow 3.1 puts its own classes in the place of those that are missing, once and for the whole process.
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    form = json.loads(asked.stdout.splitlines()[-1])
    assert set(form["extra_fields"]) == set(CONNECTION_FIELDS)
    fields = form["standard_fields"]
    assert (fields["password"]["title"], fields["host"]["title"]) == ("API key", "Base URL")
    assert all(fields[name]["hidden"] for name in ("login", "url_schema", "port"))
    assert fields["host"]["placeholder"] == "https://api.segmind.com"
