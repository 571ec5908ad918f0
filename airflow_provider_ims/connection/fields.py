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

AUTH_TYPES = (
    *("auto", "access_key", "sts", "ram_role_arn", "oidc_role_arn", "ecs_ram_role", "credentials_uri", "profile"),
    "default_chain",
)
"""The values of Authentication; the first one is the default, as for the other choices."""
NETWORKS = ("public", "vpc")
PROFILE_SOURCES = ("ini", "cli")
DEFAULT_PROFILE_NAME = "default"
DEFAULT_SESSION_NAME = "airflow-provider-ims"
# STS documents at least 900 s and at most the role's own maximum, which RAM lets people set from 3,600 to 43,200 s.
DEFAULT_SESSION_DURATION = 3600
MIN_SESSION_DURATION = 900
MAX_SESSION_DURATION = 43_200
MAX_POLICY_LENGTH = 2048
"""Characters of ``Policy`` of AssumeRole and AssumeRoleWithOIDC, as STS documents them."""
DEFAULT_CONNECT_TIMEOUT = 5.0
DEFAULT_READ_TIMEOUT = 10.0
MAX_TIMEOUT = 300.0
DEFAULT_MAX_REQUESTS_PER_SECOND = 30.0
HIGHEST_MAX_REQUESTS_PER_SECOND = 10_000.0

OIDC_TOKEN_DIRS = "/var/run/secrets:/run/secrets"  # noqa: S105 - the name of directories
"""Where the file of an OIDC token may be, if ``[ims] oidc_token_dirs`` does not say otherwise.

Whoever edits a connection must not be able to send any file of a worker to STS.
"""

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "extra"],
    "relabeling": {
        "login": "Access key ID",
        "password": "Access key secret",
        "host": "Endpoint",
    },
    "placeholders": {
        "login": "AccessKey ID of a RAM user; empty for some kinds of Authentication",
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
        "description": "auto (the default): the kind whose fields are filled in. default_chain counts only if chosen.",
        "schema": {"type": ["string", "null"], "enum": [*AUTH_TYPES]},
    },
    # ---- sts, and ram_role_arn over temporary keys
    "security_token": {
        "label": "STS security token",
        "description": "Only with temporary keys of the Security Token Service.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    # ---- ram_role_arn, oidc_role_arn
    "role_arn": {
        "label": "Role ARN",
        "description": "RAM role to assume: acs:ram::<account id>:role/<role name>.",
        "schema": {"type": ["string", "null"]},
    },
    # STS documents 2 to 64 characters: letters, digits, and . @ - _
    "role_session_name": {
        "label": "Role session name",
        "description": "Name of the session in ActionTrail: 2 to 64 letters, digits and . @ - _ "
        f"Default {DEFAULT_SESSION_NAME}.",
        "schema": {"type": ["string", "null"]},
    },
    "role_session_duration": {
        "label": "Role session duration (seconds)",
        "description": f"Lifetime of the temporary keys, {MIN_SESSION_DURATION} to {MAX_SESSION_DURATION} and at most "
        f"the maximum of the role. Default {DEFAULT_SESSION_DURATION}.",
        "schema": {
            "type": ["integer", "null"],
            "minimum": MIN_SESSION_DURATION,
            "maximum": MAX_SESSION_DURATION,
        },
    },
    "role_policy": {
        "label": "Role policy",
        "description": "RAM policy that limits the session further: a JSON object of at most "
        f"{MAX_POLICY_LENGTH} characters. Default none.",
        "schema": {"type": ["string", "null"], "format": "multiline"},
    },
    # STS documents 2 to 1,224 characters of [\w+=,.@:/-]
    "role_external_id": {
        "label": "Role external ID",
        "description": "Only with ram_role_arn: the ExternalId that the role's trust policy requires. Default none.",
        "schema": {"type": ["string", "null"]},
    },
    "sts_endpoint": {
        "label": "STS endpoint",
        "description": "Host name or https:// URL of the Security Token Service. Empty: computed from region and "
        "network, or Endpoint if that is a loopback address.",
        "schema": {"type": ["string", "null"]},
    },
    "oidc_provider_arn": {
        "label": "OIDC provider ARN",
        "description": "OIDC identity provider in RAM: acs:ram::<account id>:oidc-provider/<name>.",
        "schema": {"type": ["string", "null"]},
    },
    # Named as RRSA's variable ALIBABA_CLOUD_OIDC_TOKEN_FILE. Airflow masks the path, because "token" is in the name.
    "oidc_token_file": {
        "label": "OIDC token file",
        "description": "Absolute path of the file with the OIDC token, on the machine that runs the task.",
        "schema": {"type": ["string", "null"]},
    },
    "oidc_role_arn": {
        "label": "OIDC role ARN",
        "description": "Only with ram_role_arn over OIDC: the role that the OIDC token gets, which assumes Role ARN.",
        "schema": {"type": ["string", "null"]},
    },
    # ---- ecs_ram_role, and ram_role_arn over it
    # RAM documents 1 to 64 letters, digits, . and - for the name of a role.
    "ecs_role_name": {
        "label": "ECS role name",
        "description": "RAM role of the ECS instance. Empty: the one that the metadata service names.",
        "schema": {"type": ["string", "null"]},
    },
    "ecs_imds_v1": {
        "label": "Allow ECS metadata version 1",
        "description": "Use version 1 of the metadata service if version 2 is not available. Default false.",
        "schema": {"type": ["boolean", "null"]},
    },
    # ---- credentials_uri
    # The query may have a secret in it. Airflow masks an extra by its name: "credentials_uri" alone would be shown.
    "secret_credentials_uri": {
        "label": "Credentials URI",
        "description": "https:// URL that returns temporary keys; http:// only for loopback and 100.100.100.200.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    # ---- profile
    "profile_source": {
        "label": "Profile source",
        "description": "ini (the default): ~/.alibabacloud/credentials.ini, or cli: the Alibaba Cloud CLI.",
        "schema": {"type": ["string", "null"], "enum": [*PROFILE_SOURCES]},
    },
    "profile_name": {
        "label": "Profile name",
        "description": f"Name of the profile in that file. Default {DEFAULT_PROFILE_NAME}.",
        "schema": {"type": ["string", "null"]},
    },
    # ---- all kinds
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
No field has a ``default``: the form would fill it in, also for the kinds of credentials that do not use the field. No
field has a ``pattern``: pasted white space does not matter, and the parser explains what is wrong.
"""

COMMON_FIELDS = ("region_id", "network", "connect_timeout", "read_timeout", "max_requests_per_second")
"""The fields that belong to all kinds of credentials; all others but ``auth_type`` belong to some."""
