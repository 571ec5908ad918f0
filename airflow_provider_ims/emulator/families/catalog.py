"""The job families that every emulator has. A new one is one entry in the list of its module."""

from __future__ import annotations

from airflow_provider_ims.emulator.families import (
    analysis,
    assets,
    copyright,  # noqa: A004 - the watermark is named so
    producing,
    smart,
    trace,
    training,
    transcode,
    workflow,
    yike,
)

_GROUPS = (copyright, trace, transcode, producing, smart, analysis, training, workflow, assets, yike)

FAMILIES = {family.name: family for group in _GROUPS for family in group.FAMILIES}
