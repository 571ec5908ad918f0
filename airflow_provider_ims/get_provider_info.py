"""The metadata that Airflow reads from every provider, at every start of every process. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from airflow_provider_ims.connection.fields import (
    CONN_FIELDS,
    CONN_NAME,
    CONN_TYPE,
    OIDC_TOKEN_DIRS,
    UI_FIELD_BEHAVIOUR,
)

INTEGRATION = "Alibaba Cloud Intelligent Media Services (IMS)"


def get_provider_info() -> dict[str, Any]:
    """Describe the provider to Airflow's providers manager."""
    return {
        "package-name": "airflow-provider-ims",
        "name": CONN_NAME,
        # The link comes last: Airflow's UI shows the bare address, and adds a colon or dot that follows it to the link.
        "description": "Jobs of `Alibaba Cloud Intelligent Media Services (IMS) "
        "<https://www.alibabacloud.com/help/en/ims/>`__",
        "integrations": [
            {
                "integration-name": INTEGRATION,
                "external-doc-url": "https://www.alibabacloud.com/help/en/ims/",
                "tags": ["alibaba"],
            }
        ],
        "hooks": [{"integration-name": INTEGRATION, "python-modules": ["airflow_provider_ims.hooks.ims"]}],
        "operators": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [
                    "airflow_provider_ims.operators.call",
                    "airflow_provider_ims.operators.copyright",
                    "airflow_provider_ims.operators.dna",
                    "airflow_provider_ims.operators.job",
                    "airflow_provider_ims.operators.processing",
                    "airflow_provider_ims.operators.producing",
                    "airflow_provider_ims.operators.tagging",
                    "airflow_provider_ims.operators.trace",
                    "airflow_provider_ims.operators.upload",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": INTEGRATION,
                "python-modules": [
                    "airflow_provider_ims.sensors.copyright",
                    "airflow_provider_ims.sensors.job",
                    "airflow_provider_ims.sensors.trace",
                ],
            }
        ],
        "triggers": [{"integration-name": INTEGRATION, "python-modules": ["airflow_provider_ims.triggers.job"]}],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": "airflow_provider_ims.hooks.ims.ImsHook",
                "hook-name": CONN_NAME,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONN_FIELDS,
            }
        ],
        "extra-links": ["airflow_provider_ims.links.ims.ImsJobLink"],
        "config": {
            "ims": {
                "description": "Alibaba Cloud IMS",
                "options": {
                    "oidc_token_dirs": {
                        "description": "Directories that the OIDC token file of a connection may be in, with colons "
                        "between them. A file in any other\ndirectory is not read: its content would be sent to the "
                        "Security Token Service (STS).\n",
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "/var/run/secrets:/mnt/oidc-tokens",
                        "default": OIDC_TOKEN_DIRS,
                    }
                },
            }
        },
        "cli": ["airflow_provider_ims.cli.definition.get_commands"],
    }
