"""What editors, type checkers and help() show of the public classes."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import pytest

from airflow_provider_ims import exceptions
from airflow_provider_ims.get_provider_info import get_provider_info


def public_classes() -> list[type]:
    """Return the classes of the modules that the provider lists, and the errors."""
    info = get_provider_info()
    names = {
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in info[kind]
        for module in entry["python-modules"]
    }
    modules = [*(importlib.import_module(name) for name in names), exceptions]
    return sorted(
        (
            value
            for module in modules
            for value in vars(module).values()
            if inspect.isclass(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")
        ),
        key=lambda kind: kind.__name__,
    )


CLASSES = public_classes()


def arguments(kind: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class, as help() shows them."""
    return {name: one for name, one in inspect.signature(kind).parameters.items() if name != "self"}


def own_arguments(kind: type) -> set[str]:
    """Return the arguments that stand in the class's own ``__init__``."""
    init: Any = inspect.unwrap(vars(kind)["__init__"])
    return set(inspect.signature(init).parameters) - {"self"}


def test_all_kinds_of_classes_are_looked_at() -> None:
    """Hook, operators, sensors, trigger and errors are among the classes of the other tests."""
    names = {kind.__name__ for kind in CLASSES}
    assert names >= {"ImsHook", "ImsJobSensor", "ImsJobTrigger", "ImsSubmitCopyrightExtractJobOperator", "ImsApiError"}
    assert names >= {"ImsCallOperator", "ImsSubmitJobOperator", "ImsUploadMediaByUrlOperator"}
    assert names >= {"ImsRegisterMediaInfoOperator", "ImsTraceExtractJobSensor"}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_arguments_are_typed(kind: type) -> None:
    """Each argument is in the signature of the class with its type."""
    for name, parameter in arguments(kind).items():
        assert parameter.annotation is not inspect.Parameter.empty, name


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_arguments_are_documented(kind: type) -> None:
    """Each argument of its own is in the docstring of a class, and each one in the docstring is an argument."""
    if "__init__" not in vars(kind):
        return
    documented = set(re.findall(r"^\s*:param (\w+):", kind.__doc__ or "", re.MULTILINE))
    assert own_arguments(kind) <= documented <= set(arguments(kind))
    assert "kwargs" in documented or "kwargs" not in own_arguments(kind)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_arguments_of_the_provider_are_not_hidden(kind: type) -> None:
    """An argument that a base class of this package has is in the signature of the subclass too."""
    own = set(arguments(kind))
    for base in kind.__mro__[1:]:
        if base.__module__.startswith("airflow_provider_ims") and "__init__" in vars(base):
            hidden = set(arguments(base)) - own - {"job_type"}
            assert not hidden, base.__name__
