"""The arguments that type checkers know are those that exist."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_ims.jobs import argument_types
from airflow_provider_ims.operators.base import ImsJobBaseOperator
from airflow_provider_ims.operators.call import ImsCallOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor
from airflow_provider_ims.sensors.trace import ImsTraceExtractJobSensor
from tests.operators.typed_cases import CASES

# What the oldest supported Airflow has no longer or not yet.
OF_SOME_VERSIONS = {"retry_policy", "render_template_as_native_obj", "task_concurrency"}


def arguments(kind: Any) -> set[str]:
    """Return the names in the signature of a class."""
    parameters = inspect.signature(kind).parameters.values()
    return {one.name for one in parameters if one.name != "self" and one.kind is not inspect.Parameter.VAR_KEYWORD}


def known(types: Any) -> set[str]:
    """Return the names of a TypedDict."""
    return set(types.__annotations__)


def test_each_argument_of_base_operator_is_known() -> None:
    """The types have all arguments of the installed BaseOperator, and besides only those of other versions."""
    names = known(argument_types.BaseOperatorArguments)
    installed = arguments(BaseOperator)
    assert installed <= names
    assert names - installed <= OF_SOME_VERSIONS


def test_each_argument_of_base_sensor_operator_is_known() -> None:
    """The types and the signature of a sensor together have all arguments of the installed BaseSensorOperator."""
    own = known(argument_types.BaseSensorArguments) - known(argument_types.BaseOperatorArguments)
    assert own | arguments(ImsJobSensor) >= arguments(BaseSensorOperator)
    assert own == arguments(BaseSensorOperator) - arguments(ImsJobSensor)


OPERATORS = [
    ImsSubmitJobOperator,
    ImsCallOperator,
    ImsRegisterMediaInfoOperator,
    *dict.fromkeys(case.kind for case in CASES),
]


def typed_arguments(kind: Any) -> Any:
    """Return the TypedDict of an operator, whose name follows from that of the operator."""
    name = kind.__name__.removeprefix("Ims").removesuffix("Operator")
    short = name.removesuffix("Job") if name != "SubmitJob" else name
    return getattr(argument_types, f"{short}Arguments")


def test_partial_of_each_operator_is_typed() -> None:
    """The method ``partial`` of each operator takes the TypedDict of the operator."""
    for kind in OPERATORS:
        source = inspect.getsource(kind)
        assert f"def partial(cls, **kwargs: Unpack[{typed_arguments(kind).__name__}])" in source, kind


@pytest.mark.parametrize(
    ("kind", "types", "base"),
    [
        (ImsJobBaseOperator, argument_types.SubmitArguments, argument_types.BaseOperatorArguments),
        *((kind, typed_arguments(kind), argument_types.BaseOperatorArguments) for kind in OPERATORS),
        (ImsJobSensor, argument_types.JobSensorArguments, argument_types.BaseSensorArguments),
        (ImsCopyrightExtractJobSensor, argument_types.ExtractSensorArguments, argument_types.BaseSensorArguments),
        (ImsTraceExtractJobSensor, argument_types.ExtractSensorArguments, argument_types.BaseSensorArguments),
    ],
    ids=lambda value: value.__name__,
)
def test_partial_has_the_arguments_and_types_of_the_class(kind: Any, types: Any, base: Any) -> None:
    """What ``partial`` accepts is what the class accepts, with the same types."""
    signature = inspect.signature(kind).parameters
    assert known(types) - known(base) == arguments(kind)
    for name in arguments(kind):
        assert types.__annotations__[name].__forward_arg__ == signature[name].annotation, name
