"""The parameters of the copyright watermark actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ims.exceptions import ImsConfigurationError
from airflow_provider_ims.jobs.catalog import COPYRIGHT_EXTRACT
from airflow_provider_ims.jobs.media import media_object
from airflow_provider_ims.jobs.parameters import job_params_object, to_json, user_data_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ims.jobs.media import Media

ALGO_TYPES = ("v1", "v2")


def copyright_extract_parameters(
    *,
    region: str,
    input_media: Media,
    algo_type: str | None = None,
    user_data: str | Mapping[str, Any] | None = None,
    job_params: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return the parameters of ``SubmitCopyrightExtractJob``.

    :param region: region of the call, in which the media must be
    :param input_media: the video, see :data:`~airflow_provider_ims.jobs.media.Media`
    :param algo_type: ``v1`` (long videos) or ``v2`` (short ones), as the watermark was embedded; None leaves it to
        the service, which takes ``v1``
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes
    :param job_params: further keys of ``Params``
    :raises ImsConfigurationError: if an argument cannot be right
    """
    parameters = {"Input": to_json(media_object(input_media, region=region, name="input_media"), "input_media")}
    if params := _params(algo_type, job_params):
        parameters["Params"] = to_json(params, "job_params")
    if user_data is not None:
        parameters["UserData"] = user_data_text(user_data, limit=COPYRIGHT_EXTRACT.user_data_limit)
    return parameters


def _params(algo_type: str | None, job_params: Mapping[str, Any] | None) -> dict[str, Any]:
    params = job_params_object(job_params, known=("algoType",))
    if algo_type is not None:
        if params.get("algoType", algo_type) != algo_type:
            raise ImsConfigurationError(
                f"algo_type is {algo_type!r} and job_params['algoType'] is {params['algoType']!r}. Give one of them."
            )
        params["algoType"] = algo_type
    if "algoType" in params and params["algoType"] not in ALGO_TYPES:
        raise ImsConfigurationError(
            f"algo_type is {params['algoType']!r}. Use 'v1' (long videos) or 'v2' (short ones), the one that the "
            f"watermark was embedded with."
        )
    return params
