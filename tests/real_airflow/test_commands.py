"""The commands of Airflow, as an administrator runs them."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

import airflow_provider_ims
from airflow_provider_ims.connection.fields import CONN_FIELDS

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox


AIRFLOW = Version(version("apache-airflow")).release


def rows(airflow: AirflowSandbox, *command: str) -> list[dict[str, str]]:
    """Return the rows that a listing command prints."""
    out = airflow.airflow(*command, "--output", "json").stdout
    found: list[dict[str, str]] = json.loads(out[out.index("[") :])
    return found


def test_providers_list_has_the_provider(airflow: AirflowSandbox) -> None:
    """The provider is listed with its version."""
    (ours,) = [row for row in rows(airflow, "providers", "list") if row["package_name"] == "airflow-provider-ims"]
    assert ours["version"] == airflow_provider_ims.__version__
    assert "Jobs of Alibaba Cloud Intelligent Media Services (IMS)" in ours["description"]


def test_providers_get_has_all_parts(airflow: AirflowSandbox) -> None:
    """`airflow providers get` shows all parts of the metadata."""
    out = airflow.airflow("providers", "get", "airflow-provider-ims", "--full", "--output", "json").stdout
    (info,) = json.loads(out[out.index("[") :])
    parts = {"integrations", "hooks", "operators", "sensors", "triggers", "connection-types", "extra-links"}
    assert parts <= set(info)


def test_providers_hooks_has_the_hook(airflow: AirflowSandbox) -> None:
    """The hook can be imported and has its display name."""
    (hook,) = [row for row in rows(airflow, "providers", "hooks") if row["connection_type"] == "ims"]
    assert hook["class"] == "airflow_provider_ims.hooks.ims.ImsHook"
    assert hook["conn_id_attribute_name"] == "ims_conn_id"
    assert hook["hook_name"] == "Alibaba Cloud IMS"


def test_providers_commands_list_widgets_behaviours_and_links(airflow: AirflowSandbox) -> None:
    """The widget of each extra, the behaviours, the trigger and the link are listed."""
    if not (3,) <= AIRFLOW < (3, 2):  # these list both only if Flask-AppBuilder is installed
        widgets = {row["connection_parameter_name"] for row in rows(airflow, "providers", "widgets")}
        assert {f"extra__ims__{name}" for name in CONN_FIELDS} <= widgets
        assert "ims" in {row["field_behaviours"] for row in rows(airflow, "providers", "behaviours")}
    triggers = {row["class"] for row in rows(airflow, "providers", "triggers")}
    assert "airflow_provider_ims.triggers.job" in triggers
    links = {row["extra_link_class_name"] for row in rows(airflow, "providers", "links")}
    assert "airflow_provider_ims.links.ims.ImsJobLink" in links


def test_connections_test_checks_the_keys(airflow: AirflowSandbox, ims_emulator: EmulatorProcess) -> None:
    """`airflow connections test` succeeds, and names the field if the secret is wrong."""
    assert "Connection success!" in airflow.airflow("connections", "test", "ims_default").stdout
    wrong = {**ims_emulator.connection(), "password": "canary"}
    airflow.airflow("connections", "add", "ims_wrong", "--conn-json", json.dumps(wrong))
    done = airflow.airflow("connections", "test", "ims_wrong", check=False)
    assert done.returncode == (1 if AIRFLOW >= (3, 3) else 0)  # older versions only print it
    output = " ".join(done.stdout.split())
    assert "Connection failed! Wrong access key secret: the signature was refused (SignatureDoesNotMatch)." in output
    assert "canary" not in done.stdout + done.stderr


def test_examples_have_no_import_errors(airflow: AirflowSandbox) -> None:
    """The example DAGs are processed without an error."""
    airflow.airflow("dags", "reserialize")
    assert "No data found" in airflow.airflow("dags", "list-import-errors").stdout


def test_tasks_render_prints_no_credentials(airflow: AirflowSandbox) -> None:
    """`airflow tasks render` renders a mapped task, and its output has no credentials."""
    out = airflow.airflow(
        "tasks", "render", "example_ims_copyright_extract", "submit", "2026-01-01", "--map-index", "0"
    ).stdout
    assert "oss://rights-evidence/suspects/clip-1.mp4" in out
    assert "emulator-access-key" not in out


@pytest.mark.skipif(AIRFLOW < (3,), reason="Airflow 2 has the form of `airflow providers widgets`")
def test_connection_form_has_all_fields(airflow: AirflowSandbox) -> None:
    """The payload of the UI's connection form has all fields, and secret ones are password fields."""
    done = airflow.python(
        "-c",
        "import json\n"
        "from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService\n"
        "(ims,) = [m for m in HookMetaService.hook_meta_data() if m.connection_type == 'ims']\n"
        "print(json.dumps(ims.model_dump(by_alias=True)))",
    )
    form = json.loads(done.stdout.splitlines()[-1])
    assert form["hook_name"] == "Alibaba Cloud IMS"
    standard = form["standard_fields"]
    assert standard["login"]["title"] == "Access key ID"
    assert standard["password"]["title"] == "Access key secret"
    assert standard["host"]["title"] == "Endpoint"
    assert not standard["port"]["hidden"]
    assert standard["url_schema"]["hidden"]
    extra = form["extra_fields"]
    assert list(extra) == list(CONN_FIELDS)
    assert {name for name, f in extra.items() if f["schema"].get("format") == "password"} == {
        "security_token",
        "secret_credentials_uri",
    }
