"""A submission through the hook: what a caller learns if its outcome is unknown."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_ims.exceptions import ImsConfigurationError, ImsError, ImsSubmitUnknownError
from airflow_provider_ims.hooks.ims import ImsHook
from tests.responses import REJECTED, UNKNOWN, Case

if TYPE_CHECKING:
    from airflow_provider_ims.emulator.process import EmulatorProcess

SUBMIT = "SubmitCopyrightExtractJob"
MEDIA = "oss://rights-evidence/clip.mp4"
pytestmark = pytest.mark.usefixtures("connect")


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: case[0])
def test_unknown_submission_says_what_is_known_and_what_to_do(case: Case, ims_emulator: EmulatorProcess) -> None:
    """If the response leaves open whether a job exists, the error says so, and Airflow does not retry it."""
    ims_emulator.fault(SUBMIT, "answer", **case[1])
    with pytest.raises(ImsSubmitUnknownError, match=f"^It is unknown whether {SUBMIT} of ") as caught:
        ImsHook().submit_copyright_extract_job(MEDIA)
    text = str(caught.value)
    for fact in (MEDIA, "in cn-shanghai created a job", "What is known: sent at 20", "clearing the task submits again"):
        assert fact in text
    assert "Try again" not in text
    assert isinstance(caught.value, AirflowFailException)
    assert len(ims_emulator.requests()) == 1


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case[0])
def test_rejected_submission_is_not_unknown(case: Case, ims_emulator: EmulatorProcess) -> None:
    """An error that is known to be a rejection says that no job exists by its class."""
    ims_emulator.fault(SUBMIT, "answer", **case[1])
    with pytest.raises(ImsError) as caught:
        ImsHook().submit_copyright_extract_job(MEDIA)
    assert isinstance(caught.value, case[2])
    assert len(ims_emulator.requests()) == 1


async def test_interrupted_submission_is_logged(
    ims_emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    """An interruption may end the process before anybody sees the error, so the log has it too."""
    ims_emulator.fault(SUBMIT, "hang")
    hook = ImsHook()
    params = {"Input": {"Type": "OSS", "Media": MEDIA}}
    with pytest.raises(ImsSubmitUnknownError, match="It was interrupted while it waited for the response"):
        await asyncio.wait_for(hook.asubmit("CopyrightExtractJob", params), 0.5)
    await hook.aclose()
    assert f"It is unknown whether {SUBMIT} of" in caplog.text
    assert "What is known: sent at 20" in caplog.text


def test_region_without_the_family_is_refused_before_the_request(ims_emulator: EmulatorProcess) -> None:
    """A job is not submitted to a region that does not offer its family."""
    with pytest.raises(ImsConfigurationError, match="is not offered in the region 'us-west-1'"):
        ImsHook(region="us-west-1").submit("CopyrightExtractJob", {"Input": "x"})
    assert ims_emulator.requests() == []
