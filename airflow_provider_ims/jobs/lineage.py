"""What OpenLineage is told about a job. Only Airflow's OpenLineage provider calls this, and nothing else imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ims.jobs.media import oss_location
from airflow_provider_ims.jobs.types import Form

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from airflow_provider_ims.jobs.types import JobType

_INPUTS = frozenset({Form.MEDIA})
_OUTPUTS = frozenset({Form.OBJECT, Form.FOLDER})


def openlineage_facets(job_type: JobType, given: Mapping[str, Any]) -> Any:
    """Return the objects in OSS that a job reads and writes, None if the OpenLineage provider is not installed.

    Known limitation: media in mappings such as ``config`` and media asset ids are left out.

    :param job_type: the family
    :param given: arguments by name, rendered
    :return: an ``OperatorLineage``, with one dataset for each object: its namespace is ``oss://bucket``
    """
    try:
        from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415 - only if it is installed
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - as above
    except ImportError:
        return None
    inputs, outputs = (
        [Dataset(namespace=f"oss://{bucket}", name=name) for bucket, name in _objects(job_type, given, forms)]
        for forms in (_INPUTS, _OUTPUTS)
    )
    return OperatorLineage(inputs=inputs, outputs=outputs)


def _objects(job_type: JobType, given: Mapping[str, Any], forms: Collection[Form]) -> Iterator[tuple[str, str]]:
    for parameter in job_type.parameters:
        location = oss_location(given.get(parameter.argument)) if parameter.form in forms else None
        if location is not None:
            yield location
