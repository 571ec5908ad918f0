"""What the families that extract a watermark have in common: their queries report no state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_ims.emulator.families.family import JobFamily, JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

REGIONS = ("cn-beijing", "cn-shanghai")

VARIANTS = ("silent", "state_field", "empty_success", "status_code", "cancelled", "unknown_word")


def variant_of(family: JobFamily, variant: str) -> JobFamily:
    """Return a family whose queries respond as a media object says.

    Only ``silent`` is documented. The others are undocumented responses that a client should survive.
    """
    variants: Mapping[str, JobFamily] = {
        "silent": family,
        "state_field": _with_state(family, "Processing", "Success", "Fail"),
        "empty_success": _with_state(family, "Processing", "Success", "Success"),
        "status_code": replace(
            family, result_path=None, base_response={"Data": {}, "Message": "InternalError", "StatusCode": 500}
        ),
        "cancelled": replace(_with_state(family, "Processing", "Canceled", "Canceled"), result_path=None),
        "unknown_word": _with_state(family, "Pondering", "Pondering", "Pondering"),
    }
    return variants[variant]


def _with_state(family: JobFamily, running: str, succeeded: str, failed: str) -> JobFamily:
    words = {JobState.RUNNING: running, JobState.SUCCEEDED: succeeded, JobState.FAILED: failed}
    return replace(family, state_path="Data.Status", state_words=words)
