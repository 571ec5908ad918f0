"""Parameters that many actions have: ``UserData``, ``Params``, JSON. Checked before anything is billed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_ims.exceptions import ImsConfigurationError


def job_params_object(job_params: Mapping[str, Any] | None, known: Sequence[str] = ()) -> dict[str, Any]:
    """Return the keys of ``Params`` that the user gives.

    :param job_params: a mapping, None for none
    :param known: keys that are documented
    :raises ImsConfigurationError: if it is not a mapping, or has a key that a documented one is misspelt as
    """
    if job_params is not None and not isinstance(job_params, Mapping):
        raise ImsConfigurationError(f"job_params is a {type(job_params).__name__}. Give a dict, or leave it out.")
    params = dict(job_params or {})
    spelling = {_plain(key): key for key in known}
    for key in params:
        if key not in known and (meant := spelling.get(_plain(key))):
            # IMS ignores a key that it does not know, and bills the job all the same.
            raise ImsConfigurationError(f"job_params has the key {key!r}. Write it {meant!r}.")
    return params


def _plain(key: object) -> str:
    return str(key).lower().replace("_", "").replace("-", "").replace(" ", "")


def user_data_text(user_data: str | Mapping[str, Any], *, limit: int | None) -> str:
    """Return ``UserData`` as text.

    :param user_data: text, or a mapping sent as JSON
    :param limit: most bytes in UTF-8; None for no limit
    :raises ImsConfigurationError: if it is neither, or too long
    """
    if isinstance(user_data, Mapping):
        user_data = to_json(user_data, "user_data")
    if not isinstance(user_data, str):
        raise ImsConfigurationError(f"user_data is a {type(user_data).__name__}. Give text, or a dict to send as JSON.")
    size = len(_utf8(user_data, "user_data"))
    if limit is not None and size > limit:
        raise ImsConfigurationError(f"user_data has {size:,} bytes in UTF-8. IMS takes at most {limit:,}: shorten it.")
    return user_data


def to_json(value: Mapping[str, Any], name: str) -> str:
    """Return a value as JSON.

    :param value: the value
    :param name: the argument, for messages
    :raises ImsConfigurationError: if it cannot be sent as JSON
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ImsConfigurationError(f"{name} cannot be sent as JSON: {error}. Use plain values.") from None
    _utf8(text, name)
    return text


def _utf8(text: str, name: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ImsConfigurationError(f"{name} has characters that UTF-8 cannot write. Remove them.") from None
