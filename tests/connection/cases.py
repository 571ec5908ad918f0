"""Malformed connections, and the error of each: the table that docs/connection-problems.md has too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from airflow_provider_ims.connection.fields import AUTH_TYPES, CONN_FIELDS

NAME = "AIRFLOW_CONN_IMS_DEFAULT"
ENVIRONMENT = f"Connection 'ims_default' (environment variable {NAME})"
KEYS = {"login": "LTAIkey", "password": "secret"}
REGIONS = "cn-shanghai, cn-beijing, cn-hangzhou, cn-shenzhen, ap-southeast-1, us-west-1"
EXTRAS = ", ".join(CONN_FIELDS)
FIELDS = "conn_type, description, host, login, password, schema, port, extra"
AS_JSON = (
    'Write it as JSON: {"conn_type": "ims", "login": "<id>", "password": "<secret>", '
    '"extra": {"region_id": "<region>"}}.'
)

Value = dict[str, Any] | str
"""A connection as JSON, or the text of its environment variable."""


def ims(*, region: str | None = "cn-shanghai", extra: dict[str, Any] | None = None, **fields: Any) -> Value:
    """Return a connection of type ims, with changes to a valid one."""
    return {"conn_type": "ims", **KEYS, **fields, "extra": {"region_id": region, **(extra or {})}}


def alibaba(*, extra: dict[str, Any] | None = None, **fields: Any) -> Value:
    """Return a connection of type alibaba_cloud, with changes to a valid one."""
    keys = {"access_key_id": "LTAIkey", "access_key_secret": "secret", "region": "cn-shanghai"}
    return {"conn_type": "alibaba_cloud", **fields, "extra": {**keys, **(extra or {})}}


def keyless(**extra: Any) -> Value:
    """Return a connection of type ims without a key pair."""
    return ims(login="", password="", extra=extra)


def sts(endpoint: str) -> Value:
    """Return a connection with this endpoint of STS."""
    return ims(extra={**ROLE, "sts_endpoint": endpoint})


@dataclass(frozen=True)
class Case:
    """A wrong connection, its error, and the connections that follow the advice of the error.

    :param bad: the connection
    :param problem: the error's text before its advice
    :param advice: what the error says to do
    :param good: one connection for each way that the advice offers
    :param region: the region argument of the hook
    """

    bad: Value
    problem: str
    advice: str
    good: tuple[Value, ...]
    region: str | None = None


HOST = "https://proxy.example.com"
URI = "https://credentials.example.com/ims"
POLICY = '{"Version": "1", "Statement": []}'
TOKEN = {"security_token": "token"}
ROLE = {"role_arn": "acs:ram::1234567890123456:role/ims"}
PROVIDER = "acs:ram::1234567890123456:oidc-provider/ack"
OIDC = {"oidc_provider_arn": PROVIDER, "oidc_token_file": "/var/run/secrets/token"}
OIDC_ROLE = {"oidc_role_arn": "acs:ram::1234567890123456:role/pods"}

CASES_BY_TOPIC = {
    "The connection as a whole": [
        Case("secret", "Connection 'ims_default' has no type.", AS_JSON, (ims(),)),
        Case(
            {"conn_type": "aws", **KEYS, "extra": {"region_name": "us-east-1"}},
            "Connection 'ims_default' has the type 'aws' of another service.",
            "Use a connection of the type 'ims' (Alibaba Cloud IMS) or 'alibaba_cloud': pass its id as ims_conn_id.",
            (ims(), alibaba()),
        ),
        Case(
            ims(schema="https"),
            "Connection 'ims_default' has a Schema, which is not used.",
            "Empty it. The form shows Schema only while another type, such as Generic, is chosen.",
            (ims(schema=""),),
        ),
        Case(
            {**KEYS, "conn_type": "ims", "extra": '{"region_id": "cn-shanghai"'},
            "Connection 'ims_default': its Extra is not valid JSON.",
            "Correct it.",
            (ims(),),
        ),
        Case(
            {**KEYS, "conn_type": "ims", "extra": '["cn-shanghai"]'},
            "Connection 'ims_default': its Extra is not a JSON object.",
            "Correct it.",
            (ims(),),
        ),
        Case(
            ims(extra={"bucket": "b"}),
            "Connection 'ims_default' has the unknown extra 'bucket'.",
            f"Remove it; known are: {EXTRAS}.",
            (ims(),),
        ),
        Case(
            ims(region=None, extra={"region": "cn-shanghai"}),
            "Connection 'ims_default' has the unknown extra 'region'.",
            "Rename region to region_id.",
            (ims(),),
        ),
        Case(
            ims(login="", password="", extra={"access_key_id": "LTAIkey", "access_key_secret": "secret", "timeout": 5}),
            "Connection 'ims_default' has the unknown extra 'access_key_id', 'access_key_secret', 'timeout'.",
            "Move access_key_id to Access key ID (login). Move access_key_secret to Access key secret (password). "
            "Rename timeout to read_timeout.",
            (ims(extra={"read_timeout": 5}),),
        ),
        Case(
            ims(region=None, extra={"regionId": "cn-shanghai", "bucket": "b", "acl": "x"}),
            "Connection 'ims_default' has the unknown extra 'acl', 'bucket', 'regionId'.",
            f"Rename regionId to region_id. Remove the others; known are: {EXTRAS}.",
            (ims(),),
        ),
        Case(
            ims(extra={"endpoint": "ice.cn-shanghai.aliyuncs.com"}),
            "Connection 'ims_default' has the unknown extra 'endpoint'.",
            "Move endpoint to Endpoint (host).",
            (ims(host="ice.cn-shanghai.aliyuncs.com"),),
        ),
        Case(
            ims(host=HOST, extra={"endpoint": "ice.cn-shanghai.aliyuncs.com"}),
            "Connection 'ims_default' has the unknown extra 'endpoint'.",
            f"Remove it; known are: {EXTRAS}.",
            (ims(host=HOST),),
        ),
        Case(
            alibaba(extra={"region_id": "cn-beijing"}),
            "Connection 'ims_default' has different regions in the extras region and region_id.",
            "Remove one of them.",
            (alibaba(), alibaba(extra={"region": None, "region_id": "cn-beijing"})),
        ),
    ],
    "Region, endpoint and port": [
        Case(
            ims(region=None),
            "Connection 'ims_default' names no region, and there is no region argument.",
            "Fill in Region (extra region_id) in the connection.",
            (ims(),),
        ),
        Case(
            ims(),
            "The region 'shanghai' is not a region id (the region argument).",
            "Use one such as cn-shanghai or cn-beijing.",
            (ims(region="cn-shanghai"), ims(region="cn-beijing")),
            region="shanghai",
        ),
        Case(
            ims(region="CN-Shanghai"),
            "Connection 'ims_default': Region (extra region_id) is not a region id ('CN-Shanghai').",
            "Use one such as cn-shanghai or cn-beijing.",
            (ims(region="cn-shanghai"), ims(region="cn-beijing")),
        ),
        Case(
            ims(host=HOST, port=65_536),
            "Connection 'ims_default': Port is not a number from 1 to 65535 (65536).",
            "Correct it, or empty it.",
            (ims(host=HOST, port=8443), ims(host=HOST)),
        ),
        Case(
            ims(port=8443),
            "Connection 'ims_default' has a Port other than 443 and no Endpoint; the endpoints of IMS have port 443 "
            "only.",
            "Make it 443, empty it, or fill in Endpoint.",
            (ims(port=443), ims(port=None), ims(port=8443, host=HOST)),
        ),
        Case(
            ims(region="cn-shangai"),
            "IMS documents no endpoint in the region 'cn-shangai'.",
            f"Use one of {REGIONS}, or fill in Endpoint in connection 'ims_default'.",
            (*(ims(region=region) for region in REGIONS.split(", ")), ims(region="cn-shangai", host=HOST)),
        ),
        Case(
            ims(region="cn-beijing", host="https://ice cn-beijing"),
            "Connection 'ims_default': Endpoint is not a host name or URL.",
            "Give one such as ice.cn-beijing.aliyuncs.com, or leave it empty.",
            (ims(region="cn-beijing", host="ice.cn-beijing.aliyuncs.com"), ims(region="cn-beijing", host="")),
        ),
        Case(
            ims(host=f"{HOST}:99999"),
            "Connection 'ims_default': Endpoint has a port that is not a number from 1 to 65535.",
            "Correct the port, or remove it with its colon.",
            (ims(host=f"{HOST}:9999"), ims(host=HOST)),
        ),
        Case(
            ims(host="ftp://proxy.example.com"),
            "Connection 'ims_default': Endpoint has a scheme that is not https.",
            "Give a host name or an https:// URL.",
            (ims(host="proxy.example.com"), ims(host=HOST)),
        ),
        Case(
            ims(host="https://LTAIkey:secret@proxy.example.com", login="", password=""),
            "Connection 'ims_default': Endpoint has credentials in it.",
            "Remove them; keys have fields of their own.",
            (ims(host=HOST),),
        ),
        Case(
            ims(host=f"{HOST}/?x=y"),
            "Connection 'ims_default': Endpoint has a path, query or fragment.",
            "Give scheme, host and port only.",
            (ims(host=HOST), ims(host=f"{HOST}:443")),
        ),
        Case(
            ims(host="http://proxy.example.com"),
            "Connection 'ims_default': Endpoint begins with http://, and its host is not this machine.",
            "Use https; http is for loopback addresses only.",
            (ims(host=HOST), ims(host="http://127.0.0.1:8080"), ims(host="http://localhost")),
        ),
        Case(
            ims(region="cn-beijing", host="ice-vpc.cn-shanghai.aliyuncs.com"),
            "Connection 'ims_default': Endpoint is in cn-shanghai and the region is cn-beijing. "
            "Jobs run where the endpoint is.",
            "Make both the same, or empty Endpoint.",
            (
                ims(region="cn-shanghai", host="ice-vpc.cn-shanghai.aliyuncs.com"),
                ims(region="cn-beijing", host="ice-vpc.cn-beijing.aliyuncs.com"),
                ims(region="cn-beijing", host=""),
            ),
        ),
        Case(
            ims(host=f"{HOST}:8443", port=443),
            "Connection 'ims_default': Endpoint and Port name different ports.",
            "Empty Port, or make it equal.",
            (ims(host=f"{HOST}:8443", port=None), ims(host=f"{HOST}:8443", port=8443)),
        ),
    ],
    "The kind of credential": [
        Case(
            ims(extra={**TOKEN, "auth_type": "access_key"}),
            "Connection 'ims_default': Authentication (extra auth_type) is access_key, which does not use STS "
            "security token "
            "(extra security_token).",
            "Choose sts there, or empty it.",
            (ims(extra={**TOKEN, "auth_type": "sts"}), ims(extra={"auth_type": "access_key"})),
        ),
        Case(
            ims(extra={"auth_type": "sts"}),
            "Connection 'ims_default': Authentication (extra auth_type) is sts, which needs STS security token (extra "
            "security_token).",
            "Choose access_key there, or fill it in.",
            (ims(extra={**TOKEN, "auth_type": "sts"}), ims(extra={"auth_type": "access_key"})),
        ),
        Case(
            alibaba(login="LTAIkey", extra={"access_key_id": None}),
            "Connection 'ims_default' has keys in Login or Password, and also in the extra access_key_id or "
            "access_key_secret.",
            "Keep one pair, both of its parts, and empty the two other fields.",
            (alibaba(), alibaba(**KEYS, extra={"access_key_id": None, "access_key_secret": ""})),
        ),
        Case(
            ims(login="", password=""),
            "Connection 'ims_default' lacks the Access key ID and the Access key secret.",
            "Fill in both; nothing is taken from the environment.",
            (ims(),),
        ),
        Case(
            alibaba(extra={"access_key_secret": ""}),
            "Connection 'ims_default' lacks the Access key secret (extra access_key_secret).",
            "Fill in both; nothing is taken from the environment.",
            (alibaba(),),
        ),
        Case(
            ims(extra={"profile_name": "ims"}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID, the Access key secret and "
            "Profile name (extra profile_name).",
            "For access_key, empty Profile name (extra profile_name). For profile, empty the Access key ID and the "
            "Access key secret.",
            (ims(), keyless(profile_name="ims")),
        ),
        Case(
            ims(password="", extra={"profile_source": "cli"}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID and Profile source (extra "
            "profile_source).",
            "For access_key, fill in the Access key secret, and empty Profile source (extra profile_source). For "
            "profile, empty the Access key ID.",
            (ims(), keyless(profile_source="cli")),
        ),
        Case(
            ims(extra={"secret_credentials_uri": URI}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID, the Access key secret and "
            "Credentials URI (extra secret_credentials_uri).",
            "For access_key, empty Credentials URI (extra secret_credentials_uri). For credentials_uri, empty the "
            "Access key ID and the Access key secret.",
            (ims(), keyless(secret_credentials_uri=URI)),
        ),
        Case(
            ims(extra={"ecs_role_name": "ims"}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID, the Access key secret and "
            "ECS role name (extra ecs_role_name).",
            "For access_key, empty ECS role name (extra ecs_role_name). For ecs_ram_role, empty the Access key ID and "
            "the Access key secret.",
            (ims(), keyless(ecs_role_name="ims")),
        ),
        Case(
            alibaba(extra={"profile_name": "ims"}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID (extra access_key_id), the "
            "Access key secret (extra access_key_secret) and Profile name (extra profile_name).",
            "For access_key, empty Profile name (extra profile_name). For profile, empty the Access key ID (extra "
            "access_key_id) and the Access key secret (extra access_key_secret).",
            (alibaba(), alibaba(extra={"access_key_id": "", "access_key_secret": "", "profile_name": "ims"})),
        ),
        Case(
            ims(extra={"role_session_name": "airflow"}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID, the Access key secret and "
            "Role session name (extra role_session_name).",
            "For access_key, empty Role session name (extra role_session_name). For ram_role_arn over an access key, "
            "fill in Role ARN (extra role_arn).",
            (ims(), ims(extra={"role_session_name": "airflow", **ROLE})),
        ),
        Case(
            keyless(**ROLE),
            "Connection 'ims_default': Role ARN (extra role_arn) is not a complete credential.",
            "For ram_role_arn over an access key, fill in the Access key ID and the Access key secret. For "
            "ram_role_arn over ECS, fill in ECS role name (extra ecs_role_name). For oidc_role_arn, fill in OIDC "
            "provider ARN (extra oidc_provider_arn) and OIDC token file (extra oidc_token_file).",
            (ims(extra=ROLE), keyless(**ROLE, ecs_role_name="ims"), keyless(**ROLE, **OIDC)),
        ),
        Case(
            keyless(role_session_name="airflow"),
            "Connection 'ims_default': Role session name (extra role_session_name) is not a complete credential.",
            "For ram_role_arn over an access key, fill in the Access key ID, the Access key secret and Role ARN "
            "(extra role_arn). For ram_role_arn over ECS, fill in Role ARN (extra role_arn) and ECS role name (extra "
            "ecs_role_name). For oidc_role_arn, fill in Role ARN (extra role_arn), OIDC provider ARN (extra "
            "oidc_provider_arn) and OIDC token file (extra oidc_token_file).",
            (
                ims(extra={"role_session_name": "airflow", **ROLE}),
                keyless(role_session_name="airflow", **ROLE, ecs_role_name="ims"),
                keyless(role_session_name="airflow", **ROLE, **OIDC),
            ),
        ),
        Case(
            keyless(**OIDC),
            "Connection 'ims_default' lacks Role ARN (extra role_arn), which oidc_role_arn needs.",
            "Fill it in; nothing is taken from the environment.",
            (keyless(**OIDC, **ROLE),),
        ),
        Case(
            ims(extra={**ROLE, "ecs_role_name": "ims"}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID, the Access key secret, "
            "Role ARN (extra role_arn) and ECS role name (extra ecs_role_name).",
            "For ram_role_arn over an access key, empty ECS role name (extra ecs_role_name). For ram_role_arn over "
            "ECS, empty the Access key ID and the Access key secret.",
            (ims(extra=ROLE), keyless(**ROLE, ecs_role_name="ims")),
        ),
        Case(
            ims(extra={**ROLE, **OIDC}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID, the Access key secret, "
            "Role ARN (extra role_arn), OIDC provider ARN (extra oidc_provider_arn) and OIDC token file (extra "
            "oidc_token_file).",
            "For ram_role_arn over an access key, empty OIDC provider ARN (extra oidc_provider_arn) and OIDC token "
            "file (extra oidc_token_file). For oidc_role_arn, empty the Access key ID and the Access key secret.",
            (ims(extra=ROLE), keyless(**ROLE, **OIDC)),
        ),
        Case(
            ims(extra={**ROLE, **OIDC, **OIDC_ROLE}),
            "Connection 'ims_default': no kind of credential consists of the Access key ID, the Access key secret, "
            "Role ARN (extra role_arn), OIDC provider ARN (extra oidc_provider_arn), OIDC token file (extra "
            "oidc_token_file) and OIDC role ARN (extra oidc_role_arn).",
            "For ram_role_arn over an access key, empty OIDC provider ARN (extra oidc_provider_arn), OIDC token file "
            "(extra oidc_token_file) and OIDC role ARN (extra oidc_role_arn). For ram_role_arn over OIDC, empty the "
            "Access key ID and the Access key secret.",
            (ims(extra=ROLE), keyless(**ROLE, **OIDC, **OIDC_ROLE)),
        ),
        Case(
            keyless(**ROLE, **OIDC, role_external_id="partner"),
            "Connection 'ims_default': no kind of credential consists of Role ARN (extra role_arn), Role external ID "
            "(extra role_external_id), OIDC provider ARN (extra oidc_provider_arn) and OIDC token file (extra "
            "oidc_token_file).",
            "For ram_role_arn over OIDC, fill in OIDC role ARN (extra oidc_role_arn). For oidc_role_arn, empty Role "
            "external ID (extra role_external_id).",
            (keyless(**ROLE, **OIDC, **OIDC_ROLE, role_external_id="partner"), keyless(**ROLE, **OIDC)),
        ),
        Case(
            keyless(**ROLE, ecs_imds_v1=True),
            "Connection 'ims_default': no kind of credential consists of Role ARN (extra role_arn) and Allow ECS "
            "metadata version 1 (extra ecs_imds_v1).",
            "For ram_role_arn over ECS, fill in ECS role name (extra ecs_role_name). For ecs_ram_role, empty Role ARN "
            "(extra role_arn).",
            (keyless(**ROLE, ecs_role_name="ims", ecs_imds_v1=True), keyless(ecs_imds_v1=True)),
        ),
        Case(
            keyless(**TOKEN),
            "Connection 'ims_default' lacks the Access key ID and the Access key secret.",
            "Fill in both; nothing is taken from the environment.",
            (ims(extra=TOKEN),),
        ),
        Case(
            ims(password="", extra={**ROLE, **TOKEN}),
            "Connection 'ims_default' lacks the Access key secret.",
            "Fill in both; nothing is taken from the environment.",
            (ims(extra={**ROLE, **TOKEN}),),
        ),
        Case(
            keyless(auth_type="access_key"),
            "Connection 'ims_default': Authentication (extra auth_type) is access_key, which needs the Access key ID "
            "and the Access key secret.",
            "Fill them in.",
            (ims(extra={"auth_type": "access_key"}),),
        ),
        Case(
            keyless(auth_type="access_key", profile_name="ims"),
            "Connection 'ims_default': Authentication (extra auth_type) is access_key, which needs the Access key ID "
            "and the Access key secret and does not use Profile name (extra profile_name).",
            "Choose profile there, or fill in the Access key ID and the Access key secret, and empty Profile name "
            "(extra profile_name).",
            (ims(extra={"auth_type": "access_key"}), keyless(auth_type="profile", profile_name="ims")),
        ),
        Case(
            keyless(auth_type="ram_role_arn"),
            "Connection 'ims_default': Authentication (extra auth_type) is ram_role_arn, which needs a role and one "
            "identity that assumes it; filled in: nothing.",
            "For ram_role_arn over an access key, fill in the Access key ID, the Access key secret and Role ARN "
            "(extra role_arn). For ram_role_arn over OIDC, fill in Role ARN (extra role_arn), OIDC provider ARN "
            "(extra oidc_provider_arn), OIDC token file (extra oidc_token_file) and OIDC role ARN (extra "
            "oidc_role_arn). For ram_role_arn over ECS, fill in Role ARN (extra role_arn) and ECS role name (extra "
            "ecs_role_name).",
            (
                ims(extra={"auth_type": "ram_role_arn", **ROLE}),
                keyless(auth_type="ram_role_arn", **ROLE, **OIDC, **OIDC_ROLE),
                keyless(auth_type="ram_role_arn", **ROLE, ecs_role_name="ims"),
            ),
        ),
        Case(
            keyless(auth_type="ram_role_arn", **ROLE, **OIDC),
            "Connection 'ims_default': Authentication (extra auth_type) is ram_role_arn, which needs OIDC role ARN "
            "(extra oidc_role_arn).",
            "Choose oidc_role_arn there, or fill it in.",
            (
                ims(extra={"auth_type": "ram_role_arn", **ROLE}),
                keyless(auth_type="ram_role_arn", **ROLE, **OIDC, **OIDC_ROLE),
                keyless(auth_type="ram_role_arn", **ROLE, ecs_role_name="ims"),
                keyless(auth_type="oidc_role_arn", **ROLE, **OIDC),
            ),
        ),
        Case(
            keyless(auth_type="ram_role_arn", **OIDC_ROLE, **OIDC, ecs_role_name="ims"),
            "Connection 'ims_default': Authentication (extra auth_type) is ram_role_arn, which needs a role and one "
            "identity that assumes it; filled in: OIDC provider ARN (extra oidc_provider_arn), OIDC token file (extra "
            "oidc_token_file), OIDC role ARN (extra oidc_role_arn) and ECS role name (extra ecs_role_name).",
            "For ram_role_arn over OIDC, fill in Role ARN (extra role_arn), and empty ECS role name (extra "
            "ecs_role_name). For ram_role_arn over ECS, fill in Role ARN (extra role_arn), and empty OIDC provider "
            "ARN (extra oidc_provider_arn), OIDC token file (extra oidc_token_file) and OIDC role ARN (extra "
            "oidc_role_arn).",
            (
                keyless(auth_type="ram_role_arn", **ROLE, **OIDC, **OIDC_ROLE),
                keyless(auth_type="ram_role_arn", **ROLE, ecs_role_name="ims"),
            ),
        ),
        Case(
            ims(extra={"auth_type": "ram_role_arn"}),
            "Connection 'ims_default': Authentication (extra auth_type) is ram_role_arn, which needs Role ARN (extra "
            "role_arn).",
            "Choose access_key there, or fill it in.",
            (ims(extra={"auth_type": "ram_role_arn", **ROLE}), ims(extra={"auth_type": "access_key"})),
        ),
        Case(
            keyless(auth_type="oidc_role_arn", **ROLE, oidc_provider_arn=PROVIDER),
            "Connection 'ims_default': Authentication (extra auth_type) is oidc_role_arn, which needs OIDC token file "
            "(extra oidc_token_file).",
            "Fill it in.",
            (keyless(auth_type="oidc_role_arn", **ROLE, **OIDC),),
        ),
        Case(
            ims(extra={"auth_type": "oidc_role_arn", **ROLE, **OIDC}),
            "Connection 'ims_default': Authentication (extra auth_type) is oidc_role_arn, which does not use the "
            "Access key ID and the Access key secret.",
            "Empty them.",
            (keyless(auth_type="oidc_role_arn", **ROLE, **OIDC),),
        ),
        Case(
            keyless(auth_type="oidc_role_arn", **ROLE, **OIDC, role_external_id="partner"),
            "Connection 'ims_default': Authentication (extra auth_type) is oidc_role_arn, which does not use Role "
            "external ID (extra role_external_id).",
            "Empty it.",
            (keyless(auth_type="oidc_role_arn", **ROLE, **OIDC),),
        ),
        Case(
            ims(extra={"auth_type": "ecs_ram_role"}),
            "Connection 'ims_default': Authentication (extra auth_type) is ecs_ram_role, which does not use the "
            "Access key ID and the Access key secret.",
            "Choose access_key there, or empty them.",
            (ims(extra={"auth_type": "access_key"}), keyless(auth_type="ecs_ram_role")),
        ),
        Case(
            keyless(auth_type="credentials_uri"),
            "Connection 'ims_default': Authentication (extra auth_type) is credentials_uri, which needs Credentials "
            "URI (extra secret_credentials_uri).",
            "Fill it in.",
            (keyless(auth_type="credentials_uri", secret_credentials_uri=URI),),
        ),
        Case(
            keyless(auth_type="profile", **ROLE),
            "Connection 'ims_default': Authentication (extra auth_type) is profile, which does not use Role ARN "
            "(extra role_arn).",
            "Empty it.",
            (keyless(auth_type="profile"),),
        ),
        Case(
            ims(extra={"auth_type": "default_chain"}),
            "Connection 'ims_default': Authentication (extra auth_type) is default_chain, which does not use the "
            "Access key ID and the Access key secret.",
            "Choose access_key there, or empty them.",
            (ims(extra={"auth_type": "access_key"}), keyless(auth_type="default_chain")),
        ),
    ],
    "Values": [
        Case(
            ims(password="sec ret"),
            "Connection 'ims_default': Access key secret must be ASCII text without spaces or control characters.",
            "Paste it again.",
            (ims(),),
        ),
        Case(
            ims(extra={"network": "internal"}),
            "Connection 'ims_default': Network (extra network) has an unknown value.",
            "Choose one of: public, vpc.",
            (ims(extra={"network": "public"}), ims(extra={"network": "vpc"})),
        ),
        Case(
            ims(extra={"auth_type": "AccessKey"}),
            "Connection 'ims_default': Authentication (extra auth_type) has an unknown value ('AccessKey').",
            f"Choose one of: {', '.join(AUTH_TYPES)}.",
            (
                ims(extra={"auth_type": "auto"}),
                ims(extra={"auth_type": "access_key"}),
                ims(extra={"auth_type": "sts", **TOKEN}),
                ims(extra={"auth_type": "ram_role_arn", **ROLE}),
                keyless(auth_type="oidc_role_arn", **ROLE, **OIDC),
                keyless(auth_type="ecs_ram_role"),
                keyless(auth_type="credentials_uri", secret_credentials_uri=URI),
                keyless(auth_type="profile"),
                keyless(auth_type="default_chain"),
            ),
        ),
        Case(
            ims(extra={"read_timeout": 0}),
            "Connection 'ims_default': Read timeout (extra read_timeout) has a wrong value (0).",
            "Give seconds, more than 0 and at most 300.",
            (ims(extra={"read_timeout": 0.1}), ims(extra={"read_timeout": "300"})),
        ),
        Case(
            ims(extra={"max_requests_per_second": "many"}),
            "Connection 'ims_default': Requests per second (extra max_requests_per_second) has a wrong value.",
            "Give a number, more than 0 and at most 10000.",
            (ims(extra={"max_requests_per_second": 0.1}), ims(extra={"max_requests_per_second": 10_000})),
        ),
        Case(
            ims(extra={"role_arn": "acs:ram::1234567890123456:user/ims"}),
            "Connection 'ims_default': Role ARN (extra role_arn) has a wrong form.",
            "Give the ARN of a RAM role: acs:ram::<account id>:role/<role name>.",
            (ims(extra=ROLE),),
        ),
        Case(
            keyless(**ROLE, **OIDC, oidc_role_arn="pods"),
            "Connection 'ims_default': OIDC role ARN (extra oidc_role_arn) has a wrong form.",
            "Give the ARN of a RAM role: acs:ram::<account id>:role/<role name>.",
            (keyless(**ROLE, **OIDC, **OIDC_ROLE),),
        ),
        Case(
            keyless(**{**OIDC, "oidc_provider_arn": ROLE["role_arn"]}, **ROLE),
            "Connection 'ims_default': OIDC provider ARN (extra oidc_provider_arn) has a wrong form.",
            "Give the ARN of an OIDC provider in RAM: acs:ram::<account id>:oidc-provider/<name>.",
            (keyless(**OIDC, **ROLE),),
        ),
        Case(
            keyless(**{**OIDC, "oidc_token_file": "token"}, **ROLE),
            "Connection 'ims_default': OIDC token file (extra oidc_token_file) has a wrong form.",
            "Give an absolute path without .. and control characters, such as /var/run/secrets/token.",
            (keyless(**OIDC, **ROLE),),
        ),
        Case(
            keyless(**{**OIDC, "oidc_token_file": "/var/run/../token"}, **ROLE),
            "Connection 'ims_default': OIDC token file (extra oidc_token_file) has a wrong form.",
            "Give an absolute path without .. and control characters, such as /var/run/secrets/token.",
            (keyless(**OIDC, **ROLE),),
        ),
        Case(
            keyless(**{**OIDC, "oidc_token_file": "/var/run/to\0ken"}, **ROLE),
            "Connection 'ims_default': OIDC token file (extra oidc_token_file) has a wrong form.",
            "Give an absolute path without .. and control characters, such as /var/run/secrets/token.",
            (keyless(**OIDC, **ROLE),),
        ),
        Case(
            ims(extra={**ROLE, "role_session_name": "x"}),
            "Connection 'ims_default': Role session name (extra role_session_name) has a wrong form.",
            "Give 2 to 64 letters, digits and characters of . @ - _.",
            (
                ims(extra={**ROLE, "role_session_name": "xy"}),
                ims(extra={**ROLE, "role_session_name": "a.@-_" + "x" * 59}),
            ),
        ),
        Case(
            ims(extra={**ROLE, "role_external_id": "a b"}),
            "Connection 'ims_default': Role external ID (extra role_external_id) has a wrong form.",
            "Give 2 to 1224 letters, digits and characters of + = , . @ : / - _.",
            (
                ims(extra={**ROLE, "role_external_id": "ab"}),
                ims(extra={**ROLE, "role_external_id": "+=,.@:/-_" + "x" * 1215}),
            ),
        ),
        Case(
            ims(extra={**ROLE, "role_session_duration": 899}),
            "Connection 'ims_default': Role session duration (extra role_session_duration) has a wrong value (899).",
            "Give whole seconds, at least 900 and at most 43200.",
            (ims(extra={**ROLE, "role_session_duration": 900}), ims(extra={**ROLE, "role_session_duration": "43200"})),
        ),
        Case(
            ims(extra={**ROLE, "role_session_duration": 43_201}),
            "Connection 'ims_default': Role session duration (extra role_session_duration) has a wrong value (43201).",
            "Give whole seconds, at least 900 and at most 43200.",
            (ims(extra={**ROLE, "role_session_duration": 43_200}),),
        ),
        Case(
            ims(extra={**ROLE, "role_session_duration": 1800.5}),
            "Connection 'ims_default': Role session duration (extra role_session_duration) has a wrong value (1800.5).",
            "Give whole seconds, at least 900 and at most 43200.",
            (ims(extra={**ROLE, "role_session_duration": 1800}),),
        ),
        Case(
            ims(extra={**ROLE, "role_session_duration": "an hour"}),
            "Connection 'ims_default': Role session duration (extra role_session_duration) has a wrong value.",
            "Give whole seconds, at least 900 and at most 43200.",
            (ims(extra={**ROLE, "role_session_duration": 3600}),),
        ),
        Case(
            ims(extra={**ROLE, "role_policy": "{"}),
            "Connection 'ims_default': Role policy (extra role_policy) is not a JSON object.",
            "Give the JSON of a RAM policy, or empty it.",
            (ims(extra={**ROLE, "role_policy": POLICY}), ims(extra={**ROLE, "role_policy": ""})),
        ),
        Case(
            ims(extra={**ROLE, "role_policy": [POLICY]}),
            "Connection 'ims_default': Role policy (extra role_policy) is not a JSON object.",
            "Give the JSON of a RAM policy, or empty it.",
            (ims(extra={**ROLE, "role_policy": json.loads(POLICY)}),),
        ),
        Case(
            ims(extra={**ROLE, "role_policy": POLICY.replace(",", "," + " " * 2048)}),
            "Connection 'ims_default': Role policy (extra role_policy) has more than 2048 characters.",
            "Shorten it; white space counts.",
            (ims(extra={**ROLE, "role_policy": POLICY}),),
        ),
        Case(
            ims(extra={**ROLE, "role_policy": {"Version": "x" * 2048}}),
            "Connection 'ims_default': Role policy (extra role_policy) has more than 2048 characters.",
            "Shorten it; white space counts.",
            (ims(extra={**ROLE, "role_policy": {"Version": "x" * (2048 - len(str({"Version": ""})))}}),),
        ),
        Case(
            keyless(ecs_role_name=ROLE["role_arn"]),
            "Connection 'ims_default': ECS role name (extra ecs_role_name) has a wrong form.",
            "Give the name of a role, not its ARN: 1 to 64 letters, digits and characters of . - _.",
            (keyless(ecs_role_name="ims"),),
        ),
        Case(
            keyless(ecs_role_name=".."),
            "Connection 'ims_default': ECS role name (extra ecs_role_name) has a wrong form.",
            "Give the name of a role, not its ARN: 1 to 64 letters, digits and characters of . - _.",
            (keyless(ecs_role_name="..ims"),),
        ),
        Case(
            keyless(ecs_imds_v1="yes"),
            "Connection 'ims_default': Allow ECS metadata version 1 (extra ecs_imds_v1) is neither true nor false.",
            "Give true or false.",
            (keyless(ecs_imds_v1="True"), keyless(ecs_imds_v1=False, auth_type="ecs_ram_role")),
        ),
        Case(
            keyless(profile_source="aws"),
            "Connection 'ims_default': Profile source (extra profile_source) has an unknown value.",
            "Choose one of: ini, cli.",
            (keyless(profile_source="ini"), keyless(profile_source="cli")),
        ),
        Case(
            keyless(profile_name="i\nms"),
            "Connection 'ims_default': Profile name (extra profile_name) has a wrong form.",
            "Give 1 to 128 characters, no control characters.",
            (keyless(profile_name="ims"), keyless(profile_name="x" * 128)),
        ),
        Case(
            keyless(secret_credentials_uri="credentials.example.com"),
            "Connection 'ims_default': Credentials URI (extra secret_credentials_uri) is not an https:// URL.",
            "Give one such as https://credentials.example.com/ims.",
            (keyless(secret_credentials_uri=URI),),
        ),
        Case(
            keyless(secret_credentials_uri="ftp://credentials.example.com"),
            "Connection 'ims_default': Credentials URI (extra secret_credentials_uri) is not an https:// URL.",
            "Give one such as https://credentials.example.com/ims.",
            (keyless(secret_credentials_uri=URI),),
        ),
        Case(
            keyless(secret_credentials_uri="https://credentials.example.com:0/ims"),
            "Connection 'ims_default': Credentials URI (extra secret_credentials_uri) is not an https:// URL.",
            "Give one such as https://credentials.example.com/ims.",
            (keyless(secret_credentials_uri=URI),),
        ),
        Case(
            keyless(secret_credentials_uri=URI.replace("://", "://secret@")),
            "Connection 'ims_default': Credentials URI (extra secret_credentials_uri) has credentials before its host.",
            "Remove them; a secret may be in the query.",
            (keyless(secret_credentials_uri=URI + "?key=secret"),),
        ),
        Case(
            keyless(secret_credentials_uri=URI + "#"),
            "Connection 'ims_default': Credentials URI (extra secret_credentials_uri) has a fragment.",
            "Remove it, and its #.",
            (keyless(secret_credentials_uri=URI),),
        ),
        Case(
            keyless(secret_credentials_uri="http://credentials.example.com/ims"),
            "Connection 'ims_default': Credentials URI (extra secret_credentials_uri) begins with http://, and its "
            "host is neither this machine nor 100.100.100.200.",
            "Use https.",
            (
                keyless(secret_credentials_uri=URI),
                keyless(secret_credentials_uri="http://127.0.0.1:8080/ims"),
                keyless(secret_credentials_uri="http://100.100.100.200/ims"),
            ),
        ),
        Case(
            keyless(secret_credentials_uri="https://credentials.example.com/a b"),
            "Connection 'ims_default': Credentials URI (extra secret_credentials_uri) must be ASCII text without "
            "spaces or control characters.",
            "Paste it again.",
            (keyless(secret_credentials_uri=URI),),
        ),
    ],
    "The endpoint of STS": [
        Case(
            sts("sts cn-beijing"),
            "Connection 'ims_default': STS endpoint (extra sts_endpoint) must be ASCII text without spaces or control "
            "characters.",
            "Paste it again.",
            (sts("sts.cn-shanghai.aliyuncs.com"), sts("")),
        ),
        Case(
            sts("kX3vQ9wLzR7bT2mN5pY8cF4hJ6dS1g"),
            "Connection 'ims_default': STS endpoint (extra sts_endpoint) is not a host name or URL.",
            "Give one such as sts.cn-shanghai.aliyuncs.com, or leave it empty.",
            (sts("sts.cn-shanghai.aliyuncs.com"), sts("")),
        ),
        Case(
            sts("sts.aliyuncs.com:99999"),
            "Connection 'ims_default': STS endpoint (extra sts_endpoint) has a port that is not a number from 1 to "
            "65535.",
            "Correct the port, or remove it with its colon.",
            (sts("sts.aliyuncs.com:8443"), sts("sts.aliyuncs.com")),
        ),
        Case(
            sts("ftp://sts.aliyuncs.com"),
            "Connection 'ims_default': STS endpoint (extra sts_endpoint) has a scheme that is not https.",
            "Give a host name or an https:// URL.",
            (sts("sts.aliyuncs.com"), sts("https://sts.aliyuncs.com")),
        ),
        Case(
            sts("https://secret@sts.aliyuncs.com"),
            "Connection 'ims_default': STS endpoint (extra sts_endpoint) has credentials in it.",
            "Remove them; keys have fields of their own.",
            (sts("https://sts.aliyuncs.com"),),
        ),
        Case(
            sts("https://sts.aliyuncs.com/?Action=AssumeRole"),
            "Connection 'ims_default': STS endpoint (extra sts_endpoint) has a path, query or fragment.",
            "Give scheme, host and port only.",
            (sts("https://sts.aliyuncs.com"), sts("https://sts.aliyuncs.com:443")),
        ),
        Case(
            sts("http://sts.aliyuncs.com"),
            "Connection 'ims_default': STS endpoint (extra sts_endpoint) begins with http://, and its host is not "
            "this machine.",
            "Use https; http is for loopback addresses only.",
            (sts("https://sts.aliyuncs.com"), sts("http://127.0.0.1:8080"), sts("http://localhost:8080")),
        ),
    ],
    # Airflow finds no connection if it cannot read one.
    "Environment variables": [
        Case('{"conn_type": "ims"', f"{ENVIRONMENT} is not valid JSON (line 1, column 20).", "Correct it.", (ims(),)),
        Case(
            ims(password="\ud800secret"),
            f"{ENVIRONMENT} has characters that UTF-8 cannot write (half of a surrogate pair).",
            "Remove them.",
            (ims(),),
        ),
        Case(
            {"conn_type": "ims", **KEYS, "region": "cn-shanghai"},
            f"{ENVIRONMENT} has the unknown field 'region'.",
            "Write region_id into the object extra instead.",
            (ims(),),
        ),
        Case(
            {"conn_type": "ims", "user": "LTAIkey", "password": "secret", "extra": {"region_id": "cn-shanghai"}},
            f"{ENVIRONMENT} has the unknown field 'user'.",
            f"Rename it, or remove it; known are: {FIELDS}.",
            (ims(),),
        ),
        Case(
            ims(password=12345),
            f"{ENVIRONMENT}: password must be text.",
            "Write it in quotes.",
            (ims(password="12345"),),
        ),
        Case(
            "ims://LTAIkey:secret@[proxy/?region_id=cn-shanghai",
            f"{ENVIRONMENT} is not a valid URI.",
            AS_JSON,
            (ims(),),
        ),
        Case(
            "ims://LTAIkey:secret@proxy.example.com:99999/?region_id=cn-shanghai",
            "Connection 'ims_default': Port is not a number from 1 to 65535 ('99999').",
            "Correct it, or empty it.",
            (
                "ims://LTAIkey:secret@proxy.example.com:9999/?region_id=cn-shanghai",
                "ims://LTAIkey:secret@proxy.example.com/?region_id=cn-shanghai",
            ),
        ),
    ],
}
"""The malformed connections, below the headings of the page."""
CASES = [case for cases in CASES_BY_TOPIC.values() for case in cases]
