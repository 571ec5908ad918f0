"""The files in ``deploy/`` fit together, the cluster of the tests, and what the documentation says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from airflow_provider_ims.emulator.keys import DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET
from dev.cluster import COMPONENTS, TRIGGERERS, WORKERS

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE, EMULATOR = DEPLOY / "docker-compose.yaml", DEPLOY / "docker-compose.emulator.yaml"
CLIENTS = {*WORKERS, *TRIGGERERS}
"""The services that call IMS."""


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


SERVICES: dict[str, Any] = load(COMPOSE)["services"]
OVERRIDES: dict[str, Any] = load(EMULATOR)["services"]


@pytest.mark.parametrize("path", [COMPOSE, EMULATOR], ids=lambda path: path.name)
def test_compose_file_has_the_form_of_the_specification(path: Path) -> None:
    """Each file is valid against the schema of the Compose specification."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_services_are_the_components_of_the_cluster() -> None:
    """Beside the services around it, Compose has the components of ``make cluster``, with the same commands."""
    around = {"postgres", "redis", "airflow-init"}
    assert {name: tuple(service["command"]) for name, service in SERVICES.items() if name not in around} == COMPONENTS
    assert around < SERVICES.keys()


@pytest.mark.parametrize("name", [*COMPONENTS, "postgres", "redis"])
def test_service_is_restarted_and_checked(name: str) -> None:
    """Each service is started again when it ends, and has a health check."""
    assert SERVICES[name]["restart"] == "always"
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", WORKERS)
def test_health_check_of_a_worker_names_it(name: str) -> None:
    """The check of a worker pings that worker, whose name is in its command."""
    assert SERVICES[name]["healthcheck"]["test"][-1].endswith(f" celery@{name}")
    assert SERVICES[name]["command"][-2] == name


def test_components_have_one_image_and_the_same_secrets() -> None:
    """All components have the image with the provider and the same environment, without a secret in the file."""
    environments = {name: dict(SERVICES[name]["environment"]) for name in COMPONENTS}
    for name in WORKERS:
        del environments[name]["DUMB_INIT_SETSID"]
    first = environments["scheduler"]
    assert all(environment == first for environment in environments.values())
    assert {SERVICES[name]["image"] for name in COMPONENTS} == {OVERRIDES["ims-emulator"]["image"]}
    secrets = [name for name in first if name.endswith(("_KEY", "_SECRET"))]
    assert len(secrets) == 3
    assert all(first[name].startswith("${") for name in secrets)


def test_emulator_is_reached_by_those_that_call_the_service() -> None:
    """Workers and triggerers share the network of the emulator, which serves loopback only, and have its connection."""
    assert OVERRIDES.keys() - {"ims-emulator"} == CLIENTS
    assert OVERRIDES["ims-emulator"]["entrypoint"] == ["python", "-m", "airflow_provider_ims.emulator"]
    for name in CLIENTS:
        assert OVERRIDES[name]["network_mode"] == "service:ims-emulator"
        # A service with the network of another one has no ports and networks of its own.
        assert not {"ports", "networks", "network_mode"} & SERVICES[name].keys()
        connection = yaml.safe_load(OVERRIDES[name]["environment"]["AIRFLOW_CONN_IMS_DEFAULT"])
        assert connection["host"] == "http://127.0.0.1:8123"
        assert (connection["login"], connection["password"]) == (DEFAULT_ACCESS_KEY_ID, DEFAULT_ACCESS_KEY_SECRET)


def test_image_has_the_version_of_its_tag() -> None:
    """The Dockerfile installs the Airflow that the image's tag and the values for Helm name."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    (version,) = [line.partition("=")[2] for line in lines if line.startswith("ARG AIRFLOW_VERSION=")]
    values = load(DEPLOY / "values.yaml")
    assert {SERVICES[name]["image"] for name in COMPONENTS} == {f"airflow-with-ims:{version}"}
    assert values["airflowVersion"] == values["images"]["airflow"]["tag"] == version


def test_documentation_has_the_values_for_helm() -> None:
    """The page has the values of the file, without its first line."""
    text = (DEPLOY / "values.yaml").read_text().partition("\n")[2]
    assert f"```yaml\n{text}```\n" in (ROOT / "docs" / "deployment.md").read_text()
