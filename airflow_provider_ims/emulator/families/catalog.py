"""The job families and actions that every emulator has."""

from __future__ import annotations

from airflow_provider_ims.emulator.families import copyright as copyright_families

FAMILIES = {family.name: family for family in (copyright_families.EXTRACT,)}
FIXED_ACTIONS = {fixed.action: fixed for fixed in (copyright_families.LIST,)}
