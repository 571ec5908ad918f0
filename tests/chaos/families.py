"""Four kinds of job families, for tests of what a fault or a crash costs.

Each task names its job in ``UserData``, by which its jobs are found in the emulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.jobs.catalog import JOB_TYPES
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.processing import ImsSubmitMediaConvertJobOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from airflow_provider_ims.jobs.types import JobType


@dataclass(frozen=True)
class Family:
    """One kind of family.

    :param name: of the family
    :param operator: the operator of its jobs
    :param arguments: the arguments for a job on a video, besides ``user_data``
    :param result: a part of the result, as text, that a job on a video has
    """

    name: str
    operator: Any
    arguments: Callable[[str], dict[str, Any]]
    result: Callable[[str], str]

    def __str__(self) -> str:
        """Name the family in the ids of tests."""
        return self.name

    @property
    def job_type(self) -> JobType:
        """Its row."""
        return JOB_TYPES[self.name]

    def all_arguments(self, media: str) -> dict[str, Any]:
        """Return the arguments for a job that names its video in ``UserData``."""
        arguments = self.arguments(media)
        if "job_type" in arguments:
            return {**arguments, "job_params": {**arguments["job_params"], "UserData": media}}
        return {**arguments, "user_data": media}


def text_of(media: str) -> str:
    """Return the watermark of a video."""
    return f"(c) {media}"


def output_of(media: str) -> dict[str, str]:
    """Return the output of a job on a video."""
    return {"Type": "OSS", "Media": media.replace(".mp4", "-out.mp4")}


def converted(media: str) -> dict[str, Any]:
    """Return the configuration of a conversion."""
    return {
        "Inputs": [{"InputFile": {"Type": "OSS", "Media": media}}],
        "Outputs": [{"Name": media, "OutputFile": output_of(media), "TemplateId": "t"}],
    }


def put_media(emulator: EmulatorProcess, media: str, *, processing_time: float) -> None:
    """Put a video, and let all further jobs take so long."""
    emulator.configure(processing_time=processing_time)
    emulator.put_media(media, watermark=text_of(media), processing_time=processing_time)


STATELESS = Family(
    "CopyrightExtractJob",
    ImsSubmitCopyrightExtractJobOperator,
    lambda media: {"input_media": media},
    text_of,
)
"""Its query reports no state."""
WITH_TOKEN = Family(
    "MediaConvertJob",
    ImsSubmitMediaConvertJobOperator,
    lambda media: {"config": converted(media)},
    lambda media: output_of(media)["Media"],
)
"""A submission whose response was lost is repeated with the same ClientToken."""
WITH_PARTS = Family(
    "BatchMediaProducingJob",
    ImsSubmitJobOperator,
    lambda media: {
        "job_type": "BatchMediaProducingJob",
        "job_params": {
            "InputConfig": {"Title": media},
            "OutputConfig": {"Count": 2, "MediaURL": media.replace(".mp4", "-{index}.mp4")},
        },
    },
    lambda media: media.replace(".mp4", "-1.mp4"),
)
"""A job has ended when its parts have. It takes a ClientToken too."""
WITH_CANCEL = Family(
    "IProductionJob",
    ImsSubmitJobOperator,
    lambda media: {
        "job_type": "IProductionJob",
        "cancel_on_kill": True,
        "job_params": {"FunctionName": "Cover", "Input": {"Type": "OSS", "Media": media}, "Output": output_of(media)},
    },
    lambda media: output_of(media)["Media"],
)
"""Its jobs can be cancelled: only a killed task may do that, not one that crashed."""

FAMILIES = (STATELESS, WITH_TOKEN, WITH_PARTS, WITH_CANCEL)
OTHERS = FAMILIES[1:]
