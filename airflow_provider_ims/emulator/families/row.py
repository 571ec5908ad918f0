"""Job families as JSON: the rows of the control command ``PUT /_emulator/families``."""

from __future__ import annotations

import re
from dataclasses import asdict
from decimal import Decimal
from itertools import permutations
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import InvalidInputError
from airflow_provider_ims.emulator.families.catalog import FAMILIES, FIXED_ACTIONS
from airflow_provider_ims.emulator.families.family import JobFamily, JobState, Outcome, PricePer
from airflow_provider_ims.emulator.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Collection

_FIELD = r"[A-Za-z_][A-Za-z0-9_]*(\[0\])?"
_MAX_NAMES = 16
_PATH = re.compile(rf"{_FIELD}(\.{_FIELD}){{0,{_MAX_NAMES - 1}}}")
_PRICE = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)

_DEFAULT_WORDS = {
    JobState.RUNNING: "Processing",
    JobState.SUCCEEDED: "Success",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Canceled",
}
_OUTCOMES = [state.value for state in JobState if state is not JobState.RUNNING]


def family_from_json(payload: object, families: Collection[JobFamily]) -> JobFamily:
    """Read a row.

    :param families: all families of the emulator; one with the name of the row may be replaced by it.
    :raises InvalidInputError: if the row has an unknown field, a wrong value or values that do not fit together.
    """
    fields = Fields(payload, "a family")
    family = JobFamily(
        name=fields.required_text("name"),
        submit_action=fields.required_text("submit_action"),
        query_action=fields.required_text("query_action"),
        cancel_action=fields.filled_text("cancel_action", None),
        required_parameters=fields.names("required_parameters"),
        body_parameters=fields.names("body_parameters"),
        media_parameter=fields.filled_text("media_parameter", None),
        user_data_limit=fields.count("user_data_limit", None),
        client_token=fields.flag("client_token", default=False),
        query_parameter=fields.filled_text("query_parameter", "JobId"),
        job_id_path=_path(fields, "job_id_path") or "JobId",
        state_path=_path(fields, "state_path"),
        state_words=_state_words(fields.anything("state_words")),
        result_path=_path(fields, "result_path"),
        parts_path=_path(fields, "parts_path"),
        code_path=_path(fields, "code_path"),
        message_path=_path(fields, "message_path"),
        price=_price(fields.text("price", "1.00")),
        price_per=fields.member("price_per", PricePer, PricePer.JOB),
        outcome=Outcome(
            JobState(fields.one_of("outcome", _OUTCOMES, JobState.SUCCEEDED)),
            result=fields.anything("result"),
            parts=fields.objects("parts"),
            error_code=fields.text("error_code", None),
            error_message=fields.text("error_message", None),
        ),
    )
    fields.done()
    _check_parameters(family)
    _check_paths(family)
    _check_actions(family, families)
    return family


def family_as_json(family: JobFamily) -> dict[str, Any]:
    """Return the row of a family, with all its fields."""
    row = asdict(family)
    for not_in_rows in ("regions", "base_response", "plan"):
        del row[not_in_rows]
    outcome = row.pop("outcome")
    return {**row, "price": str(family.price), "outcome": outcome.pop("state"), **outcome}


def _path(fields: Fields, name: str) -> str | None:
    path = fields.text(name, None)
    if path is not None and not _PATH.fullmatch(path):
        raise InvalidInputError(
            f"{name} must be names with dots between them; a name may end with [0]; at most {_MAX_NAMES} names"
        )
    return path


def _price(text: str) -> Decimal:
    if not _PRICE.fullmatch(text):
        raise InvalidInputError('price must be a decimal number as a string, for example "1.00"')
    return Decimal(text)


def _state_words(payload: object) -> dict[JobState, str]:
    if payload is None:
        return _DEFAULT_WORDS
    fields = Fields(payload, "state_words")
    words = {state: fields.text(state, word) for state, word in _DEFAULT_WORDS.items()}
    fields.done()
    return words


def _check_parameters(family: JobFamily) -> None:
    required = family.required_parameters
    if unknown := [name for name in family.body_parameters if name not in required]:
        raise InvalidInputError(f"body_parameters must be among required_parameters: {', '.join(unknown)}")
    if family.media_parameter is not None and family.media_parameter not in required:
        raise InvalidInputError(f"media_parameter must be among required_parameters: {family.media_parameter}")
    if family.price_per is PricePer.MINUTE and family.media_parameter is None:
        raise InvalidInputError("price_per minute needs media_parameter")


def _check_paths(family: JobFamily) -> None:
    outcome = family.outcome
    for name, value, path_name, path in (
        ("result", outcome.result, "result_path", family.result_path),
        ("parts", outcome.parts, "parts_path", family.parts_path),
        ("error_code", outcome.error_code, "code_path", family.code_path),
        ("error_message", outcome.error_message, "message_path", family.message_path),
    ):
        if value is not None and path is None:
            raise InvalidInputError(f"{name} needs {path_name}")
    paths = [family.state_path, family.result_path, family.parts_path, family.code_path, family.message_path]
    for one, other in permutations([path for path in paths if path is not None], 2):
        # "Jobs" and "Jobs[0]" are one field.
        if f"{other}.".replace("[0]", "").startswith(f"{one}.".replace("[0]", "")):
            raise InvalidInputError(f"two paths must not overlap: {one}, {other}")


def _check_actions(family: JobFamily, families: Collection[JobFamily]) -> None:
    if family.name in FAMILIES:
        raise InvalidInputError(f"name: {family.name} is built in")
    actions = family.actions
    if len(set(actions.values())) < len(actions):
        raise InvalidInputError("submit_action, query_action and cancel_action must differ")
    for purpose, action in actions.items():
        if action in FIXED_ACTIONS:
            raise InvalidInputError(f"{purpose}: {action} is built in")
        for other in families:
            if other.name != family.name and not _can_share(purpose, action, other):
                raise InvalidInputError(f"{purpose}: {action} is an action of {other.name}")


def _can_share(purpose: str, action: str, other: JobFamily) -> bool:
    """Return whether another family leaves an action free, or uses it as query or cancel action as well."""
    if action not in other.actions.values():
        return True
    return other.name not in FAMILIES and purpose != "submit_action" and other.actions.get(purpose) == action
