"""The fields of an IMS connection, declared once.

They feed the form of the Airflow UI and the allow-list of the parser. Airflow reads this module
at every start of every process, so it imports nothing.
"""

from __future__ import annotations

from typing import Any

CONN_TYPE = "ims"
CONN_NAME = "Alibaba Cloud IMS"

REGIONS = ("cn-shanghai", "cn-beijing", "cn-hangzhou", "cn-shenzhen", "ap-southeast-1", "us-west-1")
"""Regions of the vendor's endpoint table."""

AUTH_TYPES = ("auto", "access_key", "sts")
NETWORKS = ("public", "vpc")
DEFAULT_CONNECT_TIMEOUT = 5.0
DEFAULT_READ_TIMEOUT = 10.0
MAX_TIMEOUT = 300.0
DEFAULT_MAX_REQUESTS_PER_SECOND = 30.0
HIGHEST_MAX_REQUESTS_PER_SECOND = 10_000.0

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "extra"],
    "relabeling": {
        "login": "Access key ID",
        "password": "Access key secret",
        "host": "Endpoint",
    },
    "placeholders": {
        "login": "AccessKey ID of a RAM user",
        "password": "AccessKey secret of the RAM user",
        "host": "empty: computed from region and network",
        "port": "443, which Test needs in Airflow 3.3.2",
    },
}
"""The standard fields: relabelled, or hidden if IMS does not use them.

Port is shown because the button that tests a connection fails without one in Airflow 3.3.2 (apache/airflow#73298).
"""

CONN_FIELDS: dict[str, dict[str, Any]] = {
    "region_id": {
        "label": "Region",
        "description": "Region of the jobs and their media. Not every region offers every job.",
        "schema": {"type": ["string", "null"], "enum": [*REGIONS]},
    },
    "network": {
        "label": "Network",
        "description": "public (the default), or vpc for workers inside an Alibaba Cloud VPC of the region.",
        "schema": {"type": ["string", "null"], "enum": [*NETWORKS]},
    },
    "auth_type": {
        "label": "Authentication",
        "description": "auto (the default): sts if a security token is given, else access_key.",
        "schema": {"type": ["string", "null"], "enum": [*AUTH_TYPES]},
    },
    "security_token": {
        "label": "STS security token",
        "description": "Only with temporary keys of the Security Token Service.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "connect_timeout": {
        "label": "Connect timeout (seconds)",
        "description": f"Time for DNS, TCP and TLS. Default {DEFAULT_CONNECT_TIMEOUT:g}.",
        "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": MAX_TIMEOUT},
    },
    "read_timeout": {
        "label": "Read timeout (seconds)",
        "description": f"Time for the response to a request. Default {DEFAULT_READ_TIMEOUT:g}.",
        "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": MAX_TIMEOUT},
    },
    "max_requests_per_second": {
        "label": "Requests per second",
        "description": "Most requests that one process (a triggerer, a task) sends in a second. "
        f"Default {DEFAULT_MAX_REQUESTS_PER_SECOND:g}.",
        "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": HIGHEST_MAX_REQUESTS_PER_SECOND},
    },
}
"""The fields kept in the connection's extra, in the order of the form, in the form of Airflow's ``conn-fields``.

A choice that is left empty is saved as null; null is no member of ``enum``, because the UI would offer it as a choice.
"""
