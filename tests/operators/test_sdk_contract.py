"""The official SDK and our operators send the same requests: the same parameters, in the same places."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from alibabacloud_ice20201109 import models
from alibabacloud_tea_openapi.exceptions import ClientException

from airflow_provider_ims.exceptions import ImsApiError
from airflow_provider_ims.jobs.catalog import JOB_TYPES
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from tests.attempts import SimulatedTask
from tests.emulator.test_contract import sdk
from tests.jobs.test_families_sdk import filled, sdk_methods
from tests.operators.typed_cases import CASES, TypedCase, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from alibabacloud_ice20201109.client import Client

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.jobs.types import JobType

TOKEN = "a-token-of-the-test"


@pytest.fixture
def emulator(
    ims_emulator: EmulatorProcess, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> EmulatorProcess:
    """Return an emulator with what the rows name, reached without a proxy."""
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    prepare(ims_emulator)
    return ims_emulator


def plain(text: str) -> Any:
    """Return the value of a parameter, JSON as its value.

    The models of the SDK make an empty list of a list that is missing: empty lists do not count.
    """
    try:
        return without_empty_lists(json.loads(text))
    except ValueError:
        return text


def without_empty_lists(value: Any) -> Any:
    """Return a JSON value without its empty lists."""
    match value:
        case dict():
            return {name: without_empty_lists(one) for name, one in value.items() if one != []}
        case list():
            return [without_empty_lists(one) for one in value]
        case _:
            return value


def sent(emulator: EmulatorProcess) -> tuple[str, dict[str, Any], list[str]]:
    """Return action, parameters and the names of those in the form body, of the latest request."""
    request = emulator.requests()[-1]
    return request["action"], {k: plain(v) for k, v in request["parameters"].items()}, request["form_parameters"]


def send_with_sdk(client: Client, action: str, request: Any) -> None:
    """Send a request with the typed client; a refusal is a response too."""
    from darabonba.runtime import RuntimeOptions

    try:
        getattr(client, sdk_methods()[action])(request, RuntimeOptions())
    except ClientException as refused:
        assert refused.request_id  # noqa: PT017 - the request has arrived


def typed_request(action: str, parameters: dict[str, Any]) -> Any:
    """Return the SDK's model of a request with these parameters: what the model calls text is JSON text."""
    model = getattr(models, f"{action}Request")
    texts = set(re.findall(r"self\.\w+ = m\.get\('(\w+)'\)", inspect.getsource(model.from_map)))
    return model().from_map(
        {
            name: json.dumps(value) if name in texts and isinstance(value, dict | list) else value
            for name, value in parameters.items()
        }
    )


def run(operator: Callable[[], Any]) -> None:
    """Run an operator once; the emulator may refuse the submission."""
    task = SimulatedTask(operator, retries=0)
    if task.attempt() != "success":
        assert isinstance(task.error, ImsApiError), task.error


@pytest.mark.parametrize("job_type", JOB_TYPES.values(), ids=lambda job_type: job_type.name)
def test_generic_operator_sends_what_the_sdk_sends(job_type: JobType, emulator: EmulatorProcess) -> None:
    """With all parameters that the SDK has for an action, query string and form body are those of the SDK."""
    action = job_type.submit_action
    request = filled(getattr(models, f"{action}Request"), ())
    send_with_sdk(sdk(emulator), action, request)
    expected = sent(emulator)
    run(lambda: ImsSubmitJobOperator(task_id="extract", job_type=job_type.name, job_params=request.to_map()))
    assert len(emulator.requests()) == 2
    assert sent(emulator) == expected
    assert expected[0] == action
    assert len(expected[1]) == len(request.to_map())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_typed_operator_sends_what_the_sdk_sends(case: TypedCase, emulator: EmulatorProcess) -> None:
    """The arguments of a typed operator become the request that the SDK makes of the vendor's parameters."""
    parameters = {**case.parameters, **({"ClientToken": TOKEN} if case.has_client_token else {})}
    send_with_sdk(sdk(emulator), case.action, typed_request(case.action, parameters))
    run(lambda: case.kind(task_id="extract", **case.arguments))
    run(lambda: ImsSubmitJobOperator(task_id="extract", job_type=case.job_type, job_params=case.parameters))
    requests = emulator.requests()
    assert [request["code"] for request in requests] == ["OK"] * 3
    of_sdk, *ours = [({k: plain(v) for k, v in r["parameters"].items()}, r["form_parameters"]) for r in requests]
    assert ours == [of_sdk] * 2
