"""The official typed client over the transport of this package."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ice20201109 import models
from alibabacloud_ice20201109.client import Client
from alibabacloud_tea_openapi.client import Client as OpenApiClient
from alibabacloud_tea_openapi.client import DaraCore, UnretryableException
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException, ClientException, ServerException
from alibabacloud_tea_openapi.utils_models import OpenApiRequest, Params
from darabonba.runtime import RuntimeOptions

from airflow_provider_ims.hooks.ims import ImsHook

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess
    from tests.conftest import Connect

LIST = "QueryCopyrightJobList"
LIST_REQUEST = models.QueryCopyrightJobListRequest(page_size=1)


async def test_client_is_the_official_one(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """The client is an instance of the SDK's class, and its methods return the SDK's models."""
    client = ImsHook().get_conn()
    assert isinstance(client, Client)
    for response in (
        client.query_copyright_job_list(LIST_REQUEST),
        await client.query_copyright_job_list_async(LIST_REQUEST),
    ):
        assert isinstance(response, models.QueryCopyrightJobListResponse)
        assert response.status_code == 200
        assert response.body.status_code == 200
        assert response.headers["x-acs-request-id"] == response.body.request_id
    assert [request["code"] for request in ims_emulator.requests()] == ["OK", "OK"]


def test_all_methods_use_the_safe_transport(connect: Connect) -> None:
    """Each method of the SDK's client that sends a request does so through the methods that are replaced."""
    source = inspect.getsource(Client)
    senders = {name for name, _ in inspect.getmembers(OpenApiClient, inspect.isfunction)} & {
        word.partition("(")[0] for word in source.split("self.")[1:]
    }
    assert {name for name in senders if not name.startswith(("check_", "get_"))} == {
        *("call_api", "call_api_async", "do_rpcrequest", "do_rpcrequest_async"),
    }
    safe = type(ImsHook().get_conn())
    assert {"call_api", "call_api_async", "do_rpcrequest", "do_rpcrequest_async"} <= vars(safe).keys()


@pytest.mark.parametrize("name", ["do_request", "execute", "do_request_async", "execute_async"])
async def test_transport_of_the_sdk_has_no_keys(name: str, ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """The SDK does not know the keys: what does not use the safe transport sends nothing."""
    client = ImsHook().get_conn()
    assert (client.get_access_key_secret(), client.get_security_token()) == ("", "")
    params = Params(action=LIST, version="2020-11-09", method="POST", pathname="/", style="RPC", body_type="json")
    with pytest.raises(Exception, match=r"InvalidCredentials|NoneType"):
        await maybe_async(getattr(client, name)(params, OpenApiRequest(query={}), RuntimeOptions()))
    assert ims_emulator.requests() == []


async def maybe_async(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def test_transport_of_the_sdk_is_not_used(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """A call opens no session of the SDK, which would follow redirects and print headers."""
    before = set(DaraCore._sessions)
    ImsHook().get_conn().query_copyright_job_list(LIST_REQUEST)
    assert set(DaraCore._sessions) == before


def test_parameters_and_methods_are_those_of_the_sdk(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """Parameters of query and body arrive, and a GET is signed as a GET: the emulator accepts the signatures."""
    family = {
        "required_parameters": ["Timeline"],
        "body_parameters": ["Timeline"],
        "state_path": "Job.Status",
        "code_path": "C",
    }
    editing = {"submit_action": "SubmitMediaProducingJob", "query_action": "GetMediaProducingJob"}
    recording = {"submit_action": "SubmitLiveRecordJob", "query_action": "GetLiveRecordJob"}
    ims_emulator.put_family({"name": "EditingJob", **editing, **family})
    ims_emulator.put_family({"name": "LiveRecordJob", **recording, **family})
    client = ImsHook().get_conn()
    client.submit_media_producing_job(models.SubmitMediaProducingJobRequest(timeline="{夜 +}", user_data="u"))
    with pytest.raises(ClientException, match="JobNotFound"):
        client.get_live_record_job(models.GetLiveRecordJobRequest(job_id="a &+夜"))
    assert [(request["code"], request["parameters"]) for request in ims_emulator.requests()] == [
        ("OK", {"Timeline": "{夜 +}", "UserData": "u"}),
        ("JobNotFound", {"JobId": "a &+夜"}),
    ]


def test_action_without_a_signature_is_sent_without_one(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """An action that the SDK does not sign is not signed: the emulator refuses it. It follows no redirects either."""
    fields = {"required_parameters": [], "state_path": "Job.Status", "code_path": "Code"}
    actions = {"submit_action": "SubmitPublicJob", "query_action": "GetPublicMediaInfo"}
    ims_emulator.put_family({"name": "PublicJob", **actions, **fields})
    client, request = ImsHook().get_conn(), models.GetPublicMediaInfoRequest(media_id="m")
    with pytest.raises(ClientException, match="IncompleteSignature"):
        client.get_public_media_info(request)
    ims_emulator.fault("GetPublicMediaInfo", "answer", status=302, body="", headers={"Location": ims_emulator.endpoint})
    with pytest.raises(ServerException, match="a redirect, which is not followed"):
        client.get_public_media_info(request)
    assert len(ims_emulator.requests()) == 2


def test_time_outs_of_a_call_count(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """RuntimeOptions may set the time-outs of one call."""
    ims_emulator.fault(LIST, "hang")
    client = ImsHook().get_conn()
    started = time.monotonic()
    with pytest.raises(UnretryableException, match="it did not respond in time"):
        client.query_copyright_job_list_with_options(LIST_REQUEST, RuntimeOptions(read_timeout=200))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("options", [{"ignore_ssl": True}, {"http_proxy": "http://127.0.0.1:1"}, {"ca": "/x"}])
def test_options_that_change_the_way_are_refused(
    options: dict[str, Any], ims_emulator: EmulatorProcess, connect: Connect
) -> None:
    """RuntimeOptions that would change where a request goes, or whom it trusts, are an error: nothing is sent."""
    with pytest.raises(ClientException, match=f"does not take the RuntimeOptions {next(iter(options))}"):
        ImsHook().get_conn().query_copyright_job_list_with_options(LIST_REQUEST, RuntimeOptions(**options))
    assert ims_emulator.requests() == []


def test_error_has_what_the_service_said(ims_emulator: EmulatorProcess, connect: Connect) -> None:
    """An error has status, code, message, RequestId and data, as the SDK's own has."""
    ims_emulator.fault(LIST, "throttle", retry_after=1500)
    with pytest.raises(AlibabaCloudException) as caught:
        ImsHook().get_conn().query_copyright_job_list(LIST_REQUEST)
    error = caught.value
    assert (type(error).__name__, error.status_code, error.code) == ("ThrottlingException", 400, "Throttling.User")
    assert (error.retry_after, error.data["statusCode"], error.data["Code"]) == (1500, 400, "Throttling.User")
    assert error.request_id == error.data["RequestId"] != "None"
    assert "Request was denied" in error.message
