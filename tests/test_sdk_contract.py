"""Our client, compared with the official SDK: the same requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.hooks.ims import ImsHook

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

MEDIA = "oss://rights-evidence/夜 &+.mp4"


def last_request(emulator: EmulatorProcess) -> tuple[str, dict[str, Any]]:
    """Return action and parameters of the last request, with the JSON in them decoded."""
    request = emulator.requests()[-1]
    parameters = dict(request["parameters"])
    for name in ("Input", "Params"):
        if name in parameters:
            parameters[name] = json.loads(parameters[name])
    assert request["code"] in {"OK", "JobNotFound"}
    return request["action"], parameters


@pytest.mark.parametrize(
    ("algo_type", "user_data"), [(None, None), ("v2", None), (None, "夜 &+=%"), ("v1", '{"run":"a b"}')]
)
def test_submission_equals_that_of_the_sdk(
    algo_type: str | None, user_data: str | None, ims_emulator: EmulatorProcess, connect: object
) -> None:
    """The hook and the SDK's client send a submission with the same parameters."""
    from alibabacloud_ice20201109 import models

    hook = ImsHook()
    hook.submit_copyright_extract_job(MEDIA, algo_type=algo_type, user_data=user_data)
    ours = last_request(ims_emulator)
    hook.get_conn().submit_copyright_extract_job(
        models.SubmitCopyrightExtractJobRequest(
            input=models.SubmitCopyrightExtractJobRequestInput(type="OSS", media=MEDIA),
            params=json.dumps({"algoType": algo_type}) if algo_type else None,
            user_data=user_data,
        )
    )
    assert last_request(ims_emulator) == ours
    assert len(ims_emulator.jobs()) == 2


def test_query_equals_that_of_the_sdk(ims_emulator: EmulatorProcess, connect: object) -> None:
    """The hook and the SDK's client send a query with the same parameters."""
    from alibabacloud_ice20201109 import models

    hook = ImsHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    hook.query_copyright_extract_job(job_id)
    ours = last_request(ims_emulator)
    hook.get_conn().query_copyright_extract_job(models.QueryCopyrightExtractJobRequest(job_id=job_id))
    assert last_request(ims_emulator) == ours
