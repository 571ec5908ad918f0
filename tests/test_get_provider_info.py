"""The metadata of the provider, as Airflow reads it."""

from __future__ import annotations

import importlib.resources
import json
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import BaseOperator, redact
from packaging.version import Version

import airflow_provider_ims
from airflow_provider_ims.connection.fields import (
    AUTH_TYPES,
    CONN_FIELDS,
    NETWORKS,
    OIDC_TOKEN_DIRS,
    PROFILE_SOURCES,
    REGIONS,
)
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
            if path.stem not in {"__init__", "base", "connection_test", "extract", "waiting"}
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
    assert secret == {"security_token", "secret_credentials_uri"}
    assert redact(dict.fromkeys(secret, "canary")) == dict.fromkeys(secret, "***")


def test_choices_of_the_form_can_be_left_empty() -> None:
    """A field with choices may be null, and null is not one of its choices."""
    choices = {
        "region_id": REGIONS,
        "network": NETWORKS,
        "auth_type": AUTH_TYPES,
        "profile_source": PROFILE_SOURCES,
    }
    schemas = {name: field["schema"] for name, field in CONN_FIELDS.items() if "enum" in field["schema"]}
    assert schemas == {name: {"type": ["string", "null"], "enum": [*values]} for name, values in choices.items()}


def test_each_field_can_be_left_empty() -> None:
    """Each field may be null, and none has a default: the form would fill it in for all kinds of credentials."""
    for field in CONN_FIELDS.values():
        assert field["schema"]["type"][1:] == ["null"]
        assert "default" not in field["schema"]
        assert field["description"]


class FieldRecorder:
    """Stands in for the form fields and widgets of Airflow before 3.2, and records how it is created."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.kwargs = kwargs


def recorders(*names: str) -> SimpleNamespace:
    """Return a module that has classes with these names."""
    return SimpleNamespace(**{name: type(name, (FieldRecorder,), {}) for name in names})


def test_form_of_older_airflow_has_the_fields_of_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of Airflow before 3.2 has the same fields, with widgets for numbers, boxes, passwords and lines."""
    widgets = recorders("BS3PasswordFieldWidget", "BS3TextAreaFieldWidget", "BS3TextFieldWidget")
    # Airflow ignores the whole hook if it has a field of another class.
    fields = recorders("BooleanField", "IntegerField", "PasswordField", "StringField")
    monkeypatch.setitem(sys.modules, "flask_appbuilder", SimpleNamespace(fieldwidgets=widgets))
    monkeypatch.setitem(sys.modules, "flask_appbuilder.fieldwidgets", widgets)
    monkeypatch.setitem(sys.modules, "wtforms", fields)
    monkeypatch.setitem(sys.modules, "wtforms.validators", recorders("Optional"))
    form = ImsHook.get_connection_form_widgets()
    assert list(form) == list(CONN_FIELDS)
    expected = {
        ("boolean", None): ("BooleanField", None),
        ("integer", None): ("IntegerField", "BS3TextFieldWidget"),
        ("number", None): ("StringField", "BS3TextFieldWidget"),
        ("string", None): ("StringField", "BS3TextFieldWidget"),
        ("string", "password"): ("PasswordField", "BS3PasswordFieldWidget"),
        ("string", "multiline"): ("StringField", "BS3TextAreaFieldWidget"),
    }
    seen = set()
    for name, field in form.items():
        definition = CONN_FIELDS[name]
        kind = (definition["schema"]["type"][0], definition["schema"].get("format"))
        widget = field.kwargs.get("widget")
        assert (type(field).__name__, widget and type(widget).__name__) == expected[kind], name
        assert (field.kwargs["label"], field.kwargs["description"]) == (definition["label"], definition["description"])
        # Else an empty field is refused, because it is no integer.
        assert bool(field.kwargs.get("validators")) == (kind[0] == "integer")
        seen.add(kind)
    assert seen == set(expected)


# ---- configuration


def test_configuration_has_the_directories_of_oidc_tokens() -> None:
    """The metadata describes the option ``[ims] oidc_token_dirs``, with the default that the code uses."""
    (section,) = INFO["config"].items()
    (option,) = section[1]["options"].items()
    assert (section[0], option[0]) == ("ims", "oidc_token_dirs")
    assert option[1]["default"] == OIDC_TOKEN_DIRS
    assert option[1]["type"] == "string"
    assert Version(option[1]["version_added"]) <= Version(airflow_provider_ims.__version__)


def test_airflow_shows_the_directories_of_oidc_tokens() -> None:
    """``airflow config list`` describes the option, and ``airflow config get-value`` returns its default."""

    def airflow_config(*arguments: str) -> str:
        command = [sys.executable, "-m", "airflow", "config", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    listed = airflow_config("list", "--section", "ims", "--include-descriptions")
    assert "# Directories that the OIDC token file of a connection may be in" in listed
    assert "oidc_token_dirs = " in listed
    assert airflow_config("get-value", "ims", "oidc_token_dirs").splitlines()[-1] == OIDC_TOKEN_DIRS
