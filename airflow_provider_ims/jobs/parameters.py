"""From the arguments of an operator to the parameters of a submission. Checked before anything is billed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.media import RENDERED_NOTHING, check_folder, check_object, check_source, media_object
from airflow_provider_ims.jobs.types import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_ims.jobs.types import JobType, Key, Parameter

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.]{0,99}")
_WHOLE_NUMBER = re.compile(r"\s*-?[0-9]{1,18}\s*", re.ASCII)
_MOST_BITS = 63


def submission_parameters(job_type: JobType, given: Mapping[str, Any], *, region: str) -> dict[str, str]:
    """Return the parameters of a submission, by the vendor's names.

    :param job_type: the family
    :param given: arguments by name; None and a missing one are left out
    :param region: region of the call, in which the media must be
    :raises ImsConfigurationError: if an argument is missing, or cannot be right
    """
    if job_type.exactly_one:
        _check_exactly_one(job_type.exactly_one, given)
    parameters = {}
    for parameter in job_type.parameters:
        value = given.get(parameter.argument)
        if value is None and not any(given.get(key.argument) is not None for key in parameter.keys):
            _check_is_not_needed(parameter, job_type, given)
            continue
        text = _FORMS[parameter.form](value, parameter, _Call(job_type, given, region))
        if text is not None:
            parameters[parameter.name] = text
    return parameters


def action_parameters(given: object, name: str, job_type: JobType | None = None) -> dict[str, Any]:
    """Return the parameters of an action that are given by the vendor's names.

    :param given: a mapping, or None for none
    :param name: the argument, for messages
    :param job_type: the family of the job that the action submits; None if it submits none
    :raises ImsConfigurationError: if it is not a mapping of names to values that can be sent
    """
    if given is not None and not isinstance(given, Mapping):
        raise ImsConfigurationError(f"{name} is a {type(given).__name__}. Give a dict of parameters, or leave it out.")
    parameters = {}
    for key, value in (given or {}).items():
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            raise ImsConfigurationError(
                f"{name} has the key {key!r:.80}. Give the vendor's names of the parameters, such as UserData."
            )
        if key == "UserData" and value is not None and job_type is not None:
            limit, unit = job_type.user_data_limit, job_type.user_data_unit
            parameters[key] = user_data_text(value, limit=limit, unit=unit, name=f"{name}[{key!r}]")
        else:
            parameters[key] = to_json(value, f"{name}[{key!r}]") if isinstance(value, Mapping | list | tuple) else value
    return parameters


class _Call:
    """What a parameter is a part of."""

    def __init__(self, job_type: JobType, given: Mapping[str, Any], region: str) -> None:
        self.job_type = job_type
        self.given = given
        self.region = region


def _check_exactly_one(names: Sequence[str], given: Mapping[str, Any]) -> None:
    found = [name for name in names if given.get(name) is not None]
    if len(found) != 1:
        problem = f"{' and '.join(found)} are given" if found else f"None of {', '.join(names)} is given"
        raise ImsConfigurationError(f"{problem}. Give exactly one of {', '.join(names)}.")


def _check_is_not_needed(parameter: Parameter, job_type: JobType, given: Mapping[str, Any]) -> None:
    other = parameter.needed_with
    if parameter.is_needed or (other is not None and given.get(other) is not None):
        to = f" together with {other}" if other else ""
        raise ImsConfigurationError(
            f"{parameter.argument} is missing. {job_type.submit_action} needs it{to}; if it is a template, look at the "
            f"XCom or variable that it reads."
        )


def _media(value: Any, parameter: Parameter, call: _Call) -> str:
    return to_json(media_object(value, region=call.region, name=parameter.argument), parameter.argument)


def _object(value: Any, parameter: Parameter, call: _Call) -> str:
    check_object(value, call.region, parameter.argument)
    return to_json({"Type": "OSS", "Media": value}, parameter.argument)


def _folder(value: Any, parameter: Parameter, call: _Call) -> str:
    check_folder(value, call.region, parameter.argument)
    return to_json({"Type": "OSS", "Media": value}, parameter.argument)


def _source(value: Any, parameter: Parameter, call: _Call) -> str:
    check_source(value, call.region, parameter.argument)
    return str(value)


def _urls(value: Any, parameter: Parameter, _: _Call) -> str:
    urls = [value] if isinstance(value, str) else value
    fewest, most = (limit or 0 for limit in parameter.limits)
    if not isinstance(urls, list | tuple) or not fewest <= len(urls) <= most:
        found = f"has {len(urls)} URLs" if isinstance(urls, list | tuple) else f"is a {type(value).__name__}"
        raise ImsConfigurationError(f"{parameter.argument} {found}. Give a URL, or a list of {fewest} to {most} URLs.")
    for number, url in enumerate(urls):
        try:
            parts = urlsplit(_filled(url, parameter.argument))
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            # The value may be signed: it is not repeated.
            raise ImsConfigurationError(f"{parameter.argument}: URL {number + 1} is not an http:// or https:// URL.")
    # The vendor: "URL-encode each URL before concatenating them with commas".
    return ",".join(quote(url, safe="") for url in urls)


def _text(value: Any, parameter: Parameter, _: _Call) -> str:
    name = parameter.argument
    text = _filled(value, name)
    fewest, most = parameter.limits
    size = len(_utf8(text, name))
    if most is not None and size > most:
        raise ImsConfigurationError(f"{name} has {size:,} bytes in UTF-8. IMS takes at most {most:,}: shorten it.")
    if fewest is not None and size < fewest:
        raise ImsConfigurationError(f"{name} has {size:,} bytes in UTF-8. IMS takes no less than {fewest:,}.")
    return text


def _filled(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise ImsConfigurationError(f"{name} is a {type(value).__name__}. Give text.")
    if value.strip().lower() in {"", *RENDERED_NOTHING}:
        raise ImsConfigurationError(
            f"{name} is {value!r}. Give text; if it is a template, look at the XCom or variable that it reads."
        )
    return value


def _whole_number(value: Any, parameter: Parameter, _: _Call) -> str:
    lowest, highest = parameter.limits
    bounds = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
    # A template makes a text of a number, unless the DAG renders native objects.
    is_text = isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _MOST_BITS
    number = int(value) if is_text or is_number else None
    if number is None or (lowest is not None and number < lowest) or (highest is not None and number > highest):
        raise ImsConfigurationError(f"{parameter.argument} is {value!r:.80}. Give a whole number, {bounds}.")
    return str(number)


def _switch(value: Any, parameter: Parameter, _: _Call) -> str:
    # A template makes a text of a switch, unless the DAG renders native objects.
    text = str(value).strip().lower()
    if not isinstance(value, bool | str) or text not in {"true", "false"}:
        raise ImsConfigurationError(f"{parameter.argument} is {value!r:.80}. Give True or False.")
    return text


def _choice(value: Any, parameter: Parameter, _: _Call) -> str:
    if value not in parameter.choices:
        raise ImsConfigurationError(
            f"{parameter.argument} is {value!r:.80}. Use one of: {', '.join(parameter.choices)}."
        )
    return str(value)


def _json(value: Any, parameter: Parameter, _: _Call) -> str:
    name, is_list = parameter.argument, parameter.form is Form.JSON_LIST
    wanted, kind = (list | tuple, "list") if is_list else (Mapping, "dict")
    try:
        content = json.loads(value, parse_constant=_refuse_constant) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise ImsConfigurationError(
            f"{name} is a text, and the text is not JSON. Give a {kind}, or JSON text; a template makes JSON text with "
            f"the filter tojson."
        ) from None
    if not isinstance(content, wanted):
        raise ImsConfigurationError(f"{name} is a {type(content).__name__}. Give a {kind}, or the same as JSON text.")
    if parameter.is_needed and not content:
        raise ImsConfigurationError(f"{name} is an empty {kind}. The action needs its content.")
    if isinstance(value, str):
        _utf8(value, name)
        return value
    return to_json(value, name)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _params(value: Any, parameter: Parameter, call: _Call) -> str | None:
    params = job_params_object(value, known=[key.name for key in parameter.keys])
    for key in parameter.keys:
        _add_key(params, key, call.given.get(key.argument))
    return to_json(params, parameter.argument) if params else None


def _add_key(params: dict[str, Any], key: Key, value: Any) -> None:
    if value is not None:
        if params.get(key.name, value) != value:
            raise ImsConfigurationError(
                f"{key.argument} is {value!r} and job_params[{key.name!r}] is {params[key.name]!r}. Give one of them."
            )
        params[key.name] = value
    if key.name in params and params[key.name] not in key.choices:
        raise ImsConfigurationError(f"{key.argument} is {params[key.name]!r}. Use {key.hint}.")


def _user_data(value: Any, _: Parameter, call: _Call) -> str:
    return user_data_text(value, limit=call.job_type.user_data_limit, unit=call.job_type.user_data_unit)


_FORMS: dict[Form, Callable[[Any, Parameter, _Call], str | None]] = {
    Form.MEDIA: _media,
    Form.OBJECT: _object,
    Form.FOLDER: _folder,
    Form.SOURCE: _source,
    Form.URLS: _urls,
    Form.TEXT: _text,
    Form.WHOLE_NUMBER: _whole_number,
    Form.SWITCH: _switch,
    Form.CHOICE: _choice,
    Form.JSON: _json,
    Form.JSON_LIST: _json,
    Form.PARAMS: _params,
    Form.USER_DATA: _user_data,
}


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


def user_data_text(
    user_data: str | Mapping[str, Any],
    *,
    limit: int | None,
    unit: Literal["bytes", "characters"] = "bytes",
    name: str = "user_data",
) -> str:
    """Return ``UserData`` as text.

    :param user_data: text, or a mapping sent as JSON
    :param limit: the longest text; None for no limit
    :param unit: what the limit counts: bytes in UTF-8, or characters
    :param name: the argument, for messages
    :raises ImsConfigurationError: if it is neither, or too long
    """
    if isinstance(user_data, Mapping):
        user_data = to_json(user_data, name)
    if not isinstance(user_data, str):
        raise ImsConfigurationError(f"{name} is a {type(user_data).__name__}. Give text, or a dict to send as JSON.")
    encoded = _utf8(user_data, name)
    size, counted = (len(encoded), "bytes in UTF-8") if unit == "bytes" else (len(user_data), unit)
    if limit is not None and size > limit:
        raise ImsConfigurationError(f"{name} has {size:,} {counted}. IMS takes at most {limit:,}: shorten it.")
    return user_data


def to_json(value: object, name: str) -> str:
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
