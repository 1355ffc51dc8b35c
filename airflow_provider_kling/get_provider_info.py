"""
What Airflow reads to find the provider.

It imports nothing: Airflow may call it before its own configuration is ready. The fields of the connection form are
defined here for Airflow 3.2 and newer; :mod:`airflow_provider_kling.hooks.segmind` passes the same ones to older
versions.
"""

from __future__ import annotations

from typing import Any

CONN_TYPE = "segmind"
DEFAULT_CONN_ID = "segmind_default"
CONFIG_SECTION = "kling"
UPLOAD_ALLOWED_PATHS = "upload_allowed_paths"
STORE_ALLOWED_PATHS = "store_allowed_paths"
LEDGER_CONN_ID = "ledger_conn_id"
DEPLOYMENT = "deployment"
STORE_PAYLOAD = "store_payload"
REUSE = "reuse"
#: What ``reuse`` may be: a new job for each task; the job or the result of the same, where the ledger has one.
REUSE_NEVER, REUSE_COMPLETED = "never", "completed"

#: Fields that are stored in the connection's extra, as JSON schema.
CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "timeout": {
        "label": "Timeout in seconds",
        "description": "How long to wait for an answer once connected. 60 when empty.",
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "requests_per_minute": {
        "label": "Requests per minute",
        "description": (
            "What your Segmind plan allows. Polls take four fifths of it, the rest is for submits. Empty: 60, the "
            "cheapest plan's."
        ),
        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
    },
    "history_host": {
        "label": "Request history host",
        "description": (
            "Base URL of the request history. Empty: https://api.spotprod.segmind.com, or the host above where "
            "that is not Segmind's own."
        ),
        "schema": {"type": ["string", "null"]},
    },
    "storage_host": {
        "label": "Upload host",
        "description": (
            "Base URL for uploads. Empty: https://workflows-api.segmind.com, or the host above where that is not "
            "Segmind's own."
        ),
        "schema": {"type": ["string", "null"]},
    },
    "allow_http": {
        "label": "Allow http:// to another machine",
        "description": "Sends the API key unencrypted. Only for a gateway inside your own network.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}

#: How the standard fields of a connection look in its form.
UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "schema", "port"],
    "relabeling": {"password": "API key", "host": "Base URL"},
    "placeholders": {"password": "SG_…", "host": "https://api.segmind.com"},
}

#: What may be set in Airflow's config.
CONFIG: dict[str, Any] = {
    CONFIG_SECTION: {
        "description": "Where files may come from and go to, and the ledger of what was sent, paid and made.",
        "options": {
            UPLOAD_ALLOWED_PATHS: {
                "description": (
                    "Folders with files that may be uploaded to Segmind whoever names them, besides those written in "
                    "the DAG file: absolute paths and URLs, the storage connection included, separated by commas or "
                    "newlines. Anybody who knows the address of an uploaded file can read it; it cannot be deleted."
                ),
                "version_added": "0.1.0",
                "type": "string",
                "example": "/data/pictures, s3://my_aws@bucket/inbox",
                "default": "",
            },
            STORE_ALLOWED_PATHS: {
                "description": (
                    "Folders below which results may be saved whoever names them, besides those written in the DAG "
                    "file; in the format of upload_allowed_paths."
                ),
                "version_added": "0.1.0",
                "type": "string",
                "example": "/data/videos, s3://my_aws@bucket/videos",
                "default": "",
            },
            LEDGER_CONN_ID: {
                "description": (
                    "The connection to the ledger's database: PostgreSQL, MySQL, MariaDB, or SQLite for one machine. "
                    "`airflow kling ledger migrate` makes its tables. Empty: no ledger."
                ),
                "version_added": "0.2.0",
                "type": "string",
                "example": "kling_ledger",
                "default": "",
            },
            DEPLOYMENT: {
                "description": "The label of this Airflow, if several share a ledger: each needs another one.",
                "version_added": "0.2.0",
                "type": "string",
                "example": "production",
                "default": "",
            },
            STORE_PAYLOAD: {
                "description": "Whether the ledger holds what was sent; if not, only a digest of it.",
                "version_added": "0.2.0",
                "type": "boolean",
                "example": None,
                "default": "True",
            },
            REUSE: {
                "description": (
                    "What a task does that wants what was made before, where it does not say so itself: never submits "
                    "a new job, completed takes the result from the ledger and pays nothing."
                ),
                "version_added": "0.2.0",
                "type": "string",
                "example": REUSE_COMPLETED,
                "default": REUSE_NEVER,
            },
        },
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, valid against Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-kling",
        "name": "Kling on Segmind",
        "description": (
            "Kling image and video models, served by `Segmind <https://www.segmind.com/>`__: submit a generation, "
            "wait for it without a worker, pass the result to the next step.\n"
        ),
        "integrations": [
            {
                "integration-name": "Segmind",
                "external-doc-url": "https://docs.segmind.com/",
                "tags": ["ai"],
            }
        ],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": "airflow_provider_kling.hooks.segmind.SegmindHook",
                "hook-name": "Segmind",
                "conn-fields": CONNECTION_FIELDS,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
            }
        ],
        "config": CONFIG,
        "hooks": [{"integration-name": "Segmind", "python-modules": ["airflow_provider_kling.hooks.segmind"]}],
        "operators": [
            {
                "integration-name": "Segmind",
                "python-modules": [
                    "airflow_provider_kling.operators.kling",
                    "airflow_provider_kling.operators.generate",
                    "airflow_provider_kling.operators.cost",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "Segmind",
                "python-modules": ["airflow_provider_kling.sensors.kling", "airflow_provider_kling.sensors.credits"],
            }
        ],
        "triggers": [
            {
                "integration-name": "Segmind",
                "python-modules": [
                    "airflow_provider_kling.triggers.kling",
                    "airflow_provider_kling.triggers.credits",
                    "airflow_provider_kling.triggers.resume",
                ],
            }
        ],
        "transfers": [
            {
                "source-integration-name": "Object storage",
                "target-integration-name": "Segmind",
                "python-module": "airflow_provider_kling.transfers.object_storage_to_segmind",
            },
            {
                "source-integration-name": "Segmind",
                "target-integration-name": "Object storage",
                "python-module": "airflow_provider_kling.transfers.segmind_to_object_storage",
            },
        ],
        "task-decorators": [
            {"class-name": "airflow_provider_kling.decorators.kling.kling_task", "name": "kling"},
        ],
        "cli": ["airflow_provider_kling.cli.definition.get_airflow_commands"],
        "extra-links": ["airflow_provider_kling.links.kling.KlingOutputLink"],
    }
