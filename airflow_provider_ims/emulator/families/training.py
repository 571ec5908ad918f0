"""The families that train avatars and voices.

Source: the request and response models of the official SDK, ``SubmitAvatarTrainingJobRequest`` and so on.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from airflow_provider_ims.emulator.families.family import JobFamily, JobPlan, JobState, Outcome, Submission, words
from airflow_provider_ims.emulator.families.inputs import new_id


def _plan_avatar(family: JobFamily, submission: Submission) -> JobPlan:
    """Plan the training of a draft, which keeps its job id."""
    return JobPlan(family, Outcome(JobState.SUCCEEDED, new_id()), job_id=submission.parameters.required("JobId"))


def _plan_voice(family: JobFamily, submission: Submission) -> JobPlan:
    voice_id = submission.parameters.get("VoiceId") or new_id()
    return JobPlan(
        family,
        family.outcome,
        submit_fields={} if family.name == "StandardCustomizedVoiceJob" else {"Data.VoiceId": voice_id},
        query_fields={"Data.CustomizedVoiceJob.VoiceId": voice_id, "Data.CustomizedVoiceJob.Type": _TYPES[family.name]},
    )


_TYPES = {
    "CustomizedVoiceJob": "Basic",
    "StandardCustomizedVoiceJob": "Standard",
    "CosyVoiceCustomizedVoiceJob": "CosyVoice",
}

_AVATAR_RUNNING, _AVATAR_WORDS = words(["Init", "Queuing", "Training"], "Success", "Fail")
_VOICE_RUNNING, _VOICE_WORDS = words(["Initialization", "AudioDetecting", "PreTraining", "Training"], "Success", "Fail")

AVATAR = JobFamily(
    name="AvatarTrainingJob",
    submit_action="SubmitAvatarTrainingJob",
    query_action="GetAvatarTrainingJob",
    plan=_plan_avatar,
    required_parameters=("JobId",),
    job_id_path="Data.JobId",
    query_id_path="Data.AvatarTrainingJob.JobId",
    state_path="Data.AvatarTrainingJob.Status",
    running_words=_AVATAR_RUNNING,
    state_words=_AVATAR_WORDS,
    result_path="Data.AvatarTrainingJob.AvatarId",
    message_path="Data.AvatarTrainingJob.Message",
    base_response={"Success": True},
    price=Decimal("100.00"),
)

VOICE = JobFamily(
    name="CustomizedVoiceJob",
    submit_action="SubmitCustomizedVoiceJob",
    query_action="GetCustomizedVoiceJob",
    plan=_plan_voice,
    required_parameters=("VoiceId",),
    job_id_path="Data.JobId",
    query_id_path="Data.CustomizedVoiceJob.JobId",
    state_path="Data.CustomizedVoiceJob.Status",
    running_words=_VOICE_RUNNING,
    state_words=_VOICE_WORDS,
    message_path="Data.CustomizedVoiceJob.Message",
    text_echoes={"Data.CustomizedVoiceJob.Gender": "Gender", "Data.CustomizedVoiceJob.VoiceName": "VoiceName"},
    base_response={"Success": True},
    price=Decimal("50.00"),
)

STANDARD_VOICE = replace(
    VOICE,
    name="StandardCustomizedVoiceJob",
    submit_action="SubmitStandardCustomizedVoiceJob",
    required_parameters=(),
    price=Decimal("80.00"),
)

COSY_VOICE = replace(
    VOICE,
    name="CosyVoiceCustomizedVoiceJob",
    submit_action="SubmitCosyVoiceCustomizedVoiceJob",
    required_parameters=(),
    price=Decimal("60.00"),
)

FAMILIES = (AVATAR, VOICE, STANDARD_VOICE, COSY_VOICE)
