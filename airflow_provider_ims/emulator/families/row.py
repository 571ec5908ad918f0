"""Job families as JSON: the rows of the control command ``PUT /_emulator/families``."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import TYPE_CHECKING, Any

from airflow_provider_ims.emulator.errors import InvalidInputError
from airflow_provider_ims.emulator.families.catalog import FAMILIES
from airflow_provider_ims.emulator.families.family import JobFamily, JobState, Outcome, PricePer
from airflow_provider_ims.emulator.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
        outcome=_outcome(fields),
    )
    fields.done()
    _check_parameters(family)
    _check_paths(family)
    _check_actions(family, families)
    return family


def family_as_json(family: JobFamily) -> dict[str, Any]:
    """Return the row of a family, with all its fields."""
    return {
        "name": family.name,
        "submit_action": family.submit_action,
        "query_action": family.query_action,
        "cancel_action": family.cancel_action,
        "required_parameters": family.required_parameters,
        "body_parameters": family.body_parameters,
        "media_parameter": family.media_parameter,
        "user_data_limit": family.user_data_limit,
        "client_token": family.client_token,
        "query_parameter": family.query_parameter,
        "job_id_path": family.job_id_path,
        "state_path": family.state_path,
        "state_words": family.state_words,
        "result_path": family.result_path,
        "parts_path": family.parts_path,
        "code_path": family.code_path,
        "message_path": family.message_path,
        "price": str(family.price),
        "price_per": family.price_per,
        **_outcome_fields(family.outcome),
    }


def outcome_from_json(payload: object, families: Mapping[str, JobFamily]) -> tuple[str, Outcome]:
    """Read how the next jobs of a family end.

    :param families: all families of the emulator by name.
    :return: the name of the family, and the outcome.
    :raises InvalidInputError: if there is no such family, or its queries cannot return a field of the outcome.
    """
    fields = Fields(payload, "an outcome")
    name = fields.one_of("family", list(families), None)
    outcome = replace(_outcome(fields), word=fields.filled_text("word", None))
    fields.done()
    _check_outcome(families[name], outcome)
    return name, outcome


def outcome_as_json(name: str, outcome: Outcome) -> dict[str, Any]:
    """Return how the next jobs of a family end, with all fields."""
    return {"family": name, **_outcome_fields(outcome), "word": outcome.word}


def _outcome(fields: Fields) -> Outcome:
    return Outcome(
        JobState(fields.one_of("outcome", _OUTCOMES, JobState.SUCCEEDED)),
        result=fields.anything("result"),
        parts=fields.objects("parts"),
        error_code=fields.text("error_code", None),
        error_message=fields.text("error_message", None),
    )


def _outcome_fields(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": outcome.state,
        "result": outcome.result,
        "parts": outcome.parts,
        "error_code": outcome.error_code,
        "error_message": outcome.error_message,
    }


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


def _check_outcome(family: JobFamily, outcome: Outcome) -> None:
    for name, value, path_name, paths in (
        ("result", outcome.result, "result_path", [family.result_path]),
        ("parts", outcome.parts, "parts_path", [family.parts_path]),
        ("error_code", outcome.error_code, "code_path", [family.code_path, family.error_text_path]),
        ("error_message", outcome.error_message, "message_path", [family.message_path, family.error_text_path]),
        ("word", outcome.word, "state_path", [family.state_path]),
    ):
        if value is not None and not any(paths):
            raise InvalidInputError(f"{name} needs {path_name}")


def _check_paths(family: JobFamily) -> None:
    _check_outcome(family, family.outcome)
    paths = [family.state_path, family.result_path, family.parts_path, family.code_path, family.message_path]
    for one, other in permutations([path for path in paths if path is not None], 2):
        # "Jobs" and "Jobs[0]" are one field.
        if f"{other}.".replace("[0]", "").startswith(f"{one}.".replace("[0]", "")):
            raise InvalidInputError(f"two paths must not overlap: {one}, {other}")


def _check_actions(family: JobFamily, families: Collection[JobFamily]) -> None:
    replaced = next((other for other in FAMILIES.values() if other.submit_action == family.submit_action), None)
    if family.name in FAMILIES and (replaced is None or replaced.name != family.name):
        raise InvalidInputError(f"name: {family.name} is built in")
    actions = family.actions
    if len(set(actions.values())) < len(actions):
        raise InvalidInputError("submit_action, query_action and cancel_action must differ")
    for purpose, action in actions.items():
        for other in families:
            same = other is replaced or other.name == family.name
            if not same and not _can_share(purpose, action, other, replaced):
                raise InvalidInputError(f"{purpose}: {action} is an action of {other.name}")


def _can_share(purpose: str, action: str, other: JobFamily, replaced: JobFamily | None) -> bool:
    """Return whether another family leaves an action free, or uses it as query or cancel action as well.

    :param replaced: the built-in family that the row takes the place of. The row can share what that one shares.
    """
    if action not in other.actions.values():
        return True
    if purpose == "submit_action" or other.actions.get(purpose) != action:
        return False
    return other.name not in FAMILIES or (replaced is not None and replaced.actions.get(purpose) == action)
