"""Checks of arguments that are not templates. They are made when a DAG file is parsed: misuse is an import error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from inspect import Signature

SWITCH = ((True, False), "True or False")
OPTIONAL_SWITCH = ((True, False, None), "True or False")
"""The values that an argument may have, and how a message names them."""

READS = ("Query", "Get", "List", "Describe", "Search", "BatchGet")
"""How the names of actions begin that change nothing."""
NO_READS = frozenset({"SearchIndexJobRerun"})
"""Actions whose names begin so, and that change something."""

_JINJA = ("{{", "{%", "{#")


def check_no_templates(given: Mapping[str, object], names: Iterable[str]) -> None:
    """Refuse a value that is not known before the task runs, for arguments that Airflow does not render.

    :param given: arguments by name
    :param names: those that are not templates
    :raises ImsConfigurationError: if one is a Jinja template, or the output of a task
    """
    for name in names:
        value = given.get(name)
        if isinstance(value, str) and any(opening in value for opening in _JINJA):
            what = f"the Jinja template {value!r:.80}"
        elif hasattr(value, "resolve") and hasattr(value, "iter_references"):
            # XComArg, DagParam, the argument of a mapped task group: Airflow replaces them in template fields only.
            what = f"a {type(value).__name__}"
        else:
            continue
        raise ImsConfigurationError(
            f"{name} is {what}, and {name} is not a template. Give a value that is known when the DAG file is parsed, "
            f"or map it with expand."
        )


def check_choices(
    given: Mapping[str, object], choices: Mapping[str, tuple[tuple[str | bool | None, ...], str]]
) -> None:
    """Refuse a value that an argument cannot have.

    :param given: arguments by name; a missing one has its default
    :param choices: for each name, the values and how a message names them
    :raises ImsConfigurationError: if an argument has another value
    """
    for name, (values, hint) in choices.items():
        if name not in given:
            continue
        value = given[name]
        if not any(value is one or (isinstance(value, str) and value == one) for one in values):
            raise ImsConfigurationError(f"{name} is {value!r}. Give {hint}, or leave it out.")


def check_action(action: object, *, mutates: bool) -> None:
    """Refuse what is no name of an action, and an action that changes something if nobody says so.

    :param action: the value
    :param mutates: whether the action may change something
    :raises ImsConfigurationError: if it is not a name, or its name is not that of a read
    """
    if not isinstance(action, str) or not action.isalnum() or not action.isascii():
        raise ImsConfigurationError(f"action is {action!r:.80}. Give the name of an action, such as GetMediaInfo.")
    if not mutates and (action in NO_READS or not action.startswith(READS)):
        raise ImsConfigurationError(
            f"{action} may change something: only actions whose name begins with {', '.join(READS)} are known to read. "
            f"Give mutates=True to call it: it is then sent once, and not retried if its response is lost."
        )


def with_defaults(partial: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a mapped task, with the ``default_args`` that Airflow adds only when the task runs.

    :param partial: the arguments that ``partial`` of Airflow has collected
    """
    owners = (partial.get("dag"), partial.get("task_group"))
    defaults = [owner.default_args or {} for owner in owners if owner is not None]
    return {name: value for values in (*defaults, partial) for name, value in values.items()}


class AllArguments:
    """The signature of an operator class: its own arguments and those of its base classes, as ``help()`` shows them.

    The ``__init__`` of a class has the arguments of its base class as keywords. Made when it is read: DAG
    files are parsed often.
    """

    def __get__(self, task: object, owner: type) -> Signature:
        """Return the signature of a class."""
        from inspect import Parameter, Signature, signature, unwrap  # noqa: PLC0415 - only for help()

        found: dict[str, Parameter] = {}
        for kind in owner.__mro__:
            if "__init__" in vars(kind):
                for name, parameter in signature(unwrap(vars(kind)["__init__"])).parameters.items():
                    if name == "kwargs" or (name != "self" and name not in found):
                        found.pop(name, None)
                        found[name] = parameter
            if "__signature__" in vars(kind):
                break
        return Signature(list(found.values()))
