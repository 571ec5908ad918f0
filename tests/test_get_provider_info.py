"""The metadata of the provider, as Airflow reads it."""

from __future__ import annotations

import importlib.resources
import json
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseOperator, redact

import airflow_provider_ims
from airflow_provider_ims.connection.fields import AUTH_TYPES, CONN_FIELDS, NETWORKS, REGIONS
from airflow_provider_ims.get_provider_info import get_provider_info
from airflow_provider_ims.hooks.ims import ImsHook

PACKAGE = Path(airflow_provider_ims.__file__).parent
INFO = get_provider_info()
(CONNECTION_TYPE,) = INFO["connection-types"]


def schema(name: str) -> dict[str, Any]:
    text: dict[str, Any] = json.loads(importlib.resources.files("airflow").joinpath(name).read_text())
    return text


def test_entry_point_returns_the_metadata() -> None:
    """Airflow finds the provider by its entry point, under the name of the distribution."""
    (entry,) = [e for e in entry_points(group="apache_airflow_provider") if e.module.startswith("airflow_provider_ims")]
    assert entry.load()() == INFO
    assert INFO["package-name"] == "airflow-provider-ims"
    assert version("airflow-provider-ims") == airflow_provider_ims.__version__


def test_metadata_matches_the_schema_of_airflow() -> None:
    """The metadata is valid in the schema that Airflow checks at run time."""
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


def test_connection_form_matches_the_schema_of_airflow() -> None:
    """The connection form is valid in the schema of provider.yaml, the only one that specifies forms."""
    full = schema("provider.yaml.schema.json")
    form = full["properties"]["connection-types"]
    if "conn-fields" not in form["items"]["properties"]:
        pytest.skip("before Airflow 3.2 the metadata has no form")
    jsonschema.validate(INFO["connection-types"], {**form, "definitions": full.get("definitions", {})})


def test_metadata_lists_all_public_modules() -> None:
    """The listed hook, operator, sensor and trigger modules are exactly those that exist."""
    for kind in ("hooks", "operators", "sensors", "triggers"):
        on_disk = {
            f"airflow_provider_ims.{kind}.{path.stem}"
            for path in (PACKAGE / kind).glob("*.py")
            if path.stem not in {"__init__", "base", "waiting"}
        }
        listed = [module for entry in INFO[kind] for module in entry["python-modules"]]
        assert set(listed) == on_disk
    names = {
        entry["integration-name"] for kind in ("hooks", "operators", "sensors", "triggers") for entry in INFO[kind]
    }
    assert names == {integration["integration-name"] for integration in INFO["integrations"]}


def test_links_of_all_operators_are_registered() -> None:
    """Each link of an operator is registered: an unregistered one is lost when a DAG is serialized."""
    used = set()
    for entry in INFO["operators"]:
        for module in map(importlib.import_module, entry["python-modules"]):
            for item in vars(module).values():
                if isinstance(item, type) and issubclass(item, BaseOperator) and item.__module__ == module.__name__:
                    used |= {f"{type(x).__module__}.{type(x).__name__}" for x in item.operator_extra_links}
    assert used == set(INFO["extra-links"])


def test_hook_and_metadata_agree() -> None:
    """Connection type, names and fields are the same in the hook and in the metadata."""
    assert CONNECTION_TYPE["connection-type"] == ImsHook.conn_type
    assert CONNECTION_TYPE["hook-name"] == ImsHook.hook_name
    assert CONNECTION_TYPE["hook-class-name"] == f"{ImsHook.__module__}.{ImsHook.__qualname__}"
    behaviour = ImsHook.get_ui_field_behaviour()
    assert behaviour["hidden_fields"] == CONNECTION_TYPE["ui-field-behaviour"]["hidden-fields"]
    assert behaviour["relabeling"] == {
        "login": "Access key ID",
        "password": "Access key secret",
        "host": "Endpoint",
    }


def test_secret_fields_have_names_that_airflow_masks() -> None:
    """A secret extra is a password field, and Airflow masks values with its name."""
    secret = {name for name, field in CONN_FIELDS.items() if field["schema"].get("format") == "password"}
    assert secret == {"security_token"}
    assert redact(dict.fromkeys(secret, "canary")) == dict.fromkeys(secret, "***")


def test_choices_of_the_form_can_be_left_empty() -> None:
    """A field with choices may be null, and null is not one of its choices."""
    for name, choices in (("region_id", REGIONS), ("network", NETWORKS), ("auth_type", AUTH_TYPES)):
        assert CONN_FIELDS[name]["schema"] == {"type": ["string", "null"], "enum": [*choices]}
