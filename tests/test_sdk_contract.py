"""Our client beside the official SDK: the same call sends the same request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ims.hooks.ims import ImsHook

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

MEDIA = "oss://rights-evidence/夜 &+.mp4"


def sent(emulator: EmulatorProcess) -> tuple[str, dict[str, Any]]:
    """Return action and parameters of the last request; JSON is compared by its meaning."""
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
def test_submission_is_the_same(
    algo_type: str | None, user_data: str | None, ims_emulator: EmulatorProcess, connect: object
) -> None:
    """A submission through the hook and through the typed client arrive with the same parameters."""
    from alibabacloud_ice20201109 import models

    hook = ImsHook()
    hook.submit_copyright_extract_job(MEDIA, algo_type=algo_type, user_data=user_data)
    ours = sent(ims_emulator)
    hook.get_conn().submit_copyright_extract_job(
        models.SubmitCopyrightExtractJobRequest(
            input=models.SubmitCopyrightExtractJobRequestInput(type="OSS", media=MEDIA),
            params=json.dumps({"algoType": algo_type}) if algo_type else None,
            user_data=user_data,
        )
    )
    assert sent(ims_emulator) == ours
    assert len(ims_emulator.jobs()) == 2


def test_query_is_the_same(ims_emulator: EmulatorProcess, connect: object) -> None:
    """A query through the hook and through the typed client arrive with the same parameters."""
    from alibabacloud_ice20201109 import models

    hook = ImsHook()
    job_id = hook.submit_copyright_extract_job(MEDIA)
    hook.query_copyright_extract_job(job_id)
    ours = sent(ims_emulator)
    hook.get_conn().query_copyright_extract_job(models.QueryCopyrightExtractJobRequest(job_id=job_id))
    assert sent(ims_emulator) == ours
