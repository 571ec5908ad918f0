"""The emulator and the official SDK agree about signatures, parameters, responses and errors."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alibabacloud_credentials.client import Client as CredentialsClient
from alibabacloud_credentials.provider import RamRoleArnCredentialsProvider
from alibabacloud_ice20201109 import models
from alibabacloud_ice20201109.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import Config, OpenApiRequest, Params
from darabonba.model import DaraModel
from darabonba.runtime import RuntimeOptions

from airflow_provider_ims.emulator.process import EmulatorProcess

FILM = "oss://bucket/film 水.mp4"


def sdk(emulator: EmulatorProcess, **config: Any) -> Client:
    """Return the official typed client, configured for the emulator."""
    return Client(
        Config(
            **{
                "access_key_id": emulator.access_key_id,
                "access_key_secret": emulator.access_key_secret,
                "security_token": emulator.security_token,
                "endpoint": emulator.endpoint.removeprefix("http://"),
                "protocol": "http",
                "region_id": emulator.region,
                **config,
            }
        )
    )


@pytest.fixture
def client(ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Return the official client of an emulator with a marked film, whose jobs take no time."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    ims_emulator.put_media(FILM, watermark="版权水印测试", processing_time=0)
    return sdk(ims_emulator)


def submission(**options: Any) -> models.SubmitCopyrightExtractJobRequest:
    """Return the request to extract from the film."""
    media = models.SubmitCopyrightExtractJobRequestInput(type="OSS", media=FILM)
    return models.SubmitCopyrightExtractJobRequest(input=media, **options)


def empty_fields(model: DaraModel, path: str = "body") -> list[str]:
    """Return the paths of the fields of a model that are None."""
    empty: list[str] = []
    for name, value in vars(model).items():
        if name.startswith("_"):
            continue
        if value is None:
            empty.append(f"{path}.{name}")
        elif isinstance(value, DaraModel):
            empty += empty_fields(value, f"{path}.{name}")
    return empty


def test_the_sync_client_submits_and_queries(ims_emulator: EmulatorProcess, client: Client) -> None:
    """The SDK's synchronous methods submit a job and read its text."""
    request = submission(params='{"algoType":"v1"}', user_data="a b+c/~*'水")
    job_id = client.submit_copyright_extract_job(request).body.data.job_id

    response = client.query_copyright_extract_job(models.QueryCopyrightExtractJobRequest(job_id=job_id))
    assert response.body.data.message == "版权水印测试"
    assert ims_emulator.jobs()[0]["user_data"] == "a b+c/~*'水"


def test_the_async_client_submits_and_queries(client: Client) -> None:
    """The SDK's asynchronous methods submit a job and read its text."""

    async def submit_and_query() -> str:
        submitted = await client.submit_copyright_extract_job_async(submission())
        request = models.QueryCopyrightExtractJobRequest(job_id=submitted.body.data.job_id)
        return str((await client.query_copyright_extract_job_async(request)).body.data.message)

    assert asyncio.run(submit_and_query()) == "版权水印测试"


def test_every_field_of_the_response_models_arrives(client: Client) -> None:
    """The SDK's models find all their fields in the responses of both actions."""
    submitted = client.submit_copyright_extract_job(submission()).body
    queried = client.query_copyright_extract_job(
        models.QueryCopyrightExtractJobRequest(job_id=submitted.data.job_id)
    ).body

    assert empty_fields(submitted) == []
    assert empty_fields(queried) == []


def test_the_responses_have_only_fields_of_the_models(client: Client) -> None:
    """The SDK's models contain every field of the responses: the emulator adds none."""

    def raw(action: str, query: dict[str, str]) -> Any:
        params = Params(
            action=action,
            version="2020-11-09",
            protocol="HTTP",
            pathname="/",
            method="POST",
            auth_type="AK",
            style="RPC",
            req_body_type="formData",
            body_type="json",
        )
        return client.call_api(params, OpenApiRequest(query=query), RuntimeOptions())["body"]

    submitted = raw("SubmitCopyrightExtractJob", {"Input": f'{{"Type":"OSS","Media":"{FILM}"}}'})
    queried = raw("QueryCopyrightExtractJob", {"JobId": submitted["Data"]["JobId"]})
    listed = raw("QueryCopyrightJobList", {})
    assert models.SubmitCopyrightExtractJobResponseBody().from_map(submitted).to_map() == submitted
    assert models.QueryCopyrightExtractJobResponseBody().from_map(queried).to_map() == queried
    assert models.QueryCopyrightJobListResponseBody().from_map(listed).to_map() == listed


def test_the_list_of_embedding_jobs_is_empty(client: Client) -> None:
    """The SDK reads the empty list."""
    assert client.query_copyright_job_list(models.QueryCopyrightJobListRequest()).body.data == []


def test_a_security_token_is_sent_and_accepted() -> None:
    """The emulator accepts the SDK's security token, and refuses a wrong one."""
    with EmulatorProcess(security_token="a-token") as emulator:
        request = models.QueryCopyrightJobListRequest()
        assert sdk(emulator).query_copyright_job_list(request).body.message == "ok"

        with pytest.raises(ClientException) as refused:
            sdk(emulator, security_token="another").query_copyright_job_list(request)
    assert refused.value.code == "InvalidSecurityToken.Malformed"


def test_a_wrong_secret_is_refused(ims_emulator: EmulatorProcess) -> None:
    """The SDK with a wrong secret is refused."""
    with pytest.raises(ClientException, match="Specified signature is not matched") as refused:
        sdk(ims_emulator, access_key_secret="wrong").submit_copyright_extract_job(submission())

    assert (refused.value.code, refused.value.status_code) == ("SignatureDoesNotMatch", 400)


def test_the_error_for_a_wrong_signature_shows_the_client_s_canonical_request(
    ims_emulator: EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The canonical request in the error equals that of the client, so only the secrets can differ."""
    hashed: list[str] = []
    original = Utils.hash

    def record_hash(raw: bytes, kind: str) -> bytes:
        hashed.append(raw.decode())
        digest: bytes = original(raw, kind)
        return digest

    monkeypatch.setattr(Utils, "hash", staticmethod(record_hash))
    with pytest.raises(ClientException) as refused:
        sdk(ims_emulator, access_key_secret="wrong").submit_copyright_extract_job(submission())

    assert f"server CanonicalRequest:[{hashed[-1]}]" in refused.value.message


def test_an_unknown_access_key_is_refused(ims_emulator: EmulatorProcess) -> None:
    """The SDK with an unknown access key is refused."""
    with pytest.raises(ClientException) as refused:
        sdk(ims_emulator, access_key_id="somebody").submit_copyright_extract_job(submission())

    assert (refused.value.code, refused.value.status_code) == ("InvalidAccessKeyId.NotFound", 404)


def test_a_stale_date_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK on a machine with a wrong clock is refused."""
    stale = (datetime.now(UTC) - timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    monkeypatch.setattr(Utils, "get_timestamp", staticmethod(lambda: stale))

    with pytest.raises(ClientException) as refused:
        client.submit_copyright_extract_job(submission())
    assert refused.value.code == "InvalidTimeStamp.Expired"


def test_a_reused_nonce_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's second request with the same nonce is refused."""
    monkeypatch.setattr(Utils, "get_nonce", staticmethod(lambda: "always the same"))
    client.submit_copyright_extract_job(submission())

    with pytest.raises(ClientException) as refused:
        client.submit_copyright_extract_job(submission())
    assert refused.value.code == "SignatureNonceUsed"


@pytest.mark.parametrize(
    ("kind", "options", "error", "code"),
    [
        ("throttle", {}, ClientException, "Throttling.User"),
        ("throttle", {"retry_after": 1500}, ThrottlingException, "Throttling.User"),
        ("service_unavailable", {}, ServerException, "ServiceUnavailable"),
        ("internal_error", {}, ServerException, "InternalError"),
    ],
)
def test_faults_raise_the_errors_of_the_sdk(
    ims_emulator: EmulatorProcess,
    client: Client,
    kind: str,
    options: dict[str, int],
    error: type[Any],
    code: str,
) -> None:
    """The SDK reads the error body, its RequestId and the retry header."""
    ims_emulator.fault("QueryCopyrightJobList", kind, **options)

    with pytest.raises(error) as raised:
        client.query_copyright_job_list(models.QueryCopyrightJobListRequest())
    assert raised.value.code == code
    assert raised.value.request_id == ims_emulator.requests()[0]["request_id"]
    if options:
        assert raised.value.retry_after == options["retry_after"]


def test_an_error_has_all_fields_that_the_sdk_reads(client: Client) -> None:
    """The SDK's exception for an unknown JobId has code, status, RequestId and all fields of the error body."""
    with pytest.raises(ClientException) as refused:
        client.query_copyright_extract_job(models.QueryCopyrightExtractJobRequest(job_id="0" * 32))

    error = refused.value
    assert (error.code, error.status_code) == ("JobNotFound", 404)
    assert error.data.keys() >= {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert error.request_id == error.data["RequestId"]


def test_the_sdk_sends_the_documented_parameters(ims_emulator: EmulatorProcess, client: Client) -> None:
    """The SDK's submission has the documented parameters and no others."""
    client.submit_copyright_extract_job(submission(user_data="mine"))

    (record,) = ims_emulator.requests()
    assert record["parameters"].keys() == {"Input", "UserData"}


def test_the_sdk_sends_large_parameters_in_the_form_body(ims_emulator: EmulatorProcess, client: Client) -> None:
    """The emulator accepts the SDK's signature of a form body, and finds its parameters there."""
    ims_emulator.put_family(
        {
            "name": "MediaProducingJob",
            "submit_action": "SubmitMediaProducingJob",
            "query_action": "GetMediaProducingJob",
            "required_parameters": ["OutputMediaConfig", "Timeline"],
            "body_parameters": ["Timeline"],
            "state_path": "MediaProducingJob.Status",
        }
    )
    timeline = '{"VideoTracks": ["水 +&="]}'
    request = models.SubmitMediaProducingJobRequest(output_media_config="{}", timeline=timeline)
    job_id = client.submit_media_producing_job(request).body.job_id

    assert ims_emulator.jobs()[0]["job_id"] == job_id
    assert ims_emulator.requests()[0]["parameters"]["Timeline"] == timeline


def test_the_sdk_signs_with_the_keys_of_a_role(tls_emulator: EmulatorProcess) -> None:
    """The SDK gets keys of a role from STS and signs with them: IMS accepts them, until they are revoked."""
    role = tls_emulator.put_role("worker")["arn"]
    provider = RamRoleArnCredentialsProvider(
        access_key_id=tls_emulator.access_key_id,
        access_key_secret=tls_emulator.access_key_secret,
        role_arn=role,
        sts_endpoint=tls_emulator.tls_endpoint.removeprefix("https://"),
    )
    keys = {"access_key_id": None, "access_key_secret": None, "security_token": None}
    client = sdk(tls_emulator, **keys, credential=CredentialsClient(provider=provider))
    request = models.QueryCopyrightJobListRequest()
    assert client.query_copyright_job_list(request).body.message == "ok"

    tls_emulator.revoke(role="worker")
    with pytest.raises(ClientException) as refused:
        client.query_copyright_job_list(request)
    assert refused.value.code == "InvalidSecurityToken.Expired"
    assert [record["action"] for record in tls_emulator.requests()] == ["AssumeRole", *["QueryCopyrightJobList"] * 2]


def test_the_sdk_calls_sts(client: Client) -> None:
    """The SDK's general client calls STS with the signature of IMS."""
    params = Params(
        action="GetCallerIdentity",
        version="2015-04-01",
        protocol="HTTP",
        pathname="/",
        method="POST",
        auth_type="AK",
        style="RPC",
        req_body_type="formData",
        body_type="json",
    )
    body = client.call_api(params, OpenApiRequest(), RuntimeOptions())["body"]

    assert (body["IdentityType"], body["AccountId"]) == ("RAMUser", "1234567890123456")


def test_a_denial_has_the_details_that_the_sdk_reads(ims_emulator: EmulatorProcess, client: Client) -> None:
    """The SDK's exception for a missing permission has its details."""
    ims_emulator.deny("QueryCopyrightJobList")
    with pytest.raises(ClientException) as refused:
        client.query_copyright_job_list(models.QueryCopyrightJobListRequest())

    error = refused.value
    assert (error.code, error.status_code) == ("NoPermission", 403)
    assert error.access_denied_detail["AuthAction"] == "ice:QueryCopyrightJobList"
