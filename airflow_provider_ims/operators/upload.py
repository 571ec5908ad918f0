"""Operators that bring files into IMS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_ims.exceptions import ImsRequestError, ImsSubmitUnknownError
from airflow_provider_ims.hooks.ims import ImsHook
from airflow_provider_ims.jobs.catalog import MEDIA_REGISTRATION, MEDIA_UPLOAD
from airflow_provider_ims.jobs.response import read_submission
from airflow_provider_ims.jobs.retry import retries_without_record
from airflow_provider_ims.jobs.submission import Attempt, SubmissionRequest
from airflow_provider_ims.operators.base import ImsJobBaseOperator, position_in_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_ims.jobs.argument_types import (
        BaseOperatorArguments,
        JobPartial,
        RegisterMediaInfoArguments,
        SubmitArguments,
        Template,
        UploadMediaByUrlArguments,
    )


class ImsUploadMediaByUrlOperator(ImsJobBaseOperator):
    """Have the service download files from URLs into media assets.

    The return value is the JobId; for several URLs, the ids with commas between them. A wait that ends well pushes the
    media ids as ``media_ids``: other jobs take them as ``input_media``. Their order is that of the service's response,
    which is not documented.

    The URLs are shown among the rendered fields of the task: a signed URL is a secret there until it expires.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-uploadmediabyurl

    :param upload_urls: ``https://`` or ``http://`` URL of a file, or a list of at most ten: they are waited for
        together (templated)
    :param upload_target_config: where the files are stored: ``{"StorageType": "oss", "StorageLocation": "..."}``
        (templated)
    :param media_metadata: title, description and further metadata, each with its ``SourceURL`` (templated)
    :param user_data: text, or a mapping sent as JSON (templated)
    :param kwargs: those of :class:`~airflow_provider_ims.operators.base.ImsJobBaseOperator`
    """

    job_type = MEDIA_UPLOAD

    template_fields: Sequence[str] = (*ImsJobBaseOperator.template_fields, *MEDIA_UPLOAD.arguments)
    upload_urls: Template[str | Sequence[str]]
    upload_target_config: Template[str | Mapping[str, Any] | None]
    media_metadata: Template[str | Sequence[Mapping[str, Any]] | None]
    user_data: Template[str | Mapping[str, Any] | None]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(MEDIA_UPLOAD.json_arguments, "json")

    if TYPE_CHECKING:

        @classmethod
        def partial(cls, **kwargs: Unpack[UploadMediaByUrlArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        upload_urls: str | Sequence[str] | XComArg,
        upload_target_config: str | Mapping[str, Any] | XComArg | None = None,
        media_metadata: str | Sequence[Mapping[str, Any]] | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        **kwargs: Unpack[SubmitArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.upload_urls = upload_urls
        self.upload_target_config = upload_target_config
        self.media_metadata = media_metadata
        self.user_data = user_data


class ImsRegisterMediaInfoOperator(BaseOperator):
    """Register an object in OSS as a media asset, and return its id.

    The return value is the media id, and so is the XCom ``media_id``: other jobs take it as ``input_media``. The action
    returns it at once, so the task does not wait. The vendor says that the registration then takes two or three
    seconds more, in which ``GetMediaInfo`` may not have the information about the file yet.

    The request has a ``ClientToken`` that is the same for all attempts of the task until it is cleared. So Airflow may
    retry a request whose response was lost: it registers nothing twice, and gets the same media id. An object that is
    registered already is an ``ImsRequestError``, which is not retried, unless ``overwrite`` is given.

    Source: https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-registermediainfo

    :param input_url: ``oss://bucket/object`` or ``https://bucket.oss-<region>.aliyuncs.com/object``, in the region of
        the call, or ``vod://<media id>`` (templated)
    :param overwrite: whether an asset of the same URL is deleted, and the URL registered anew; by default that is an
        error (templated)
    :param media_type: ``image``, ``video``, ``audio`` or ``text``; by default what the name of the object ends with
        decides (templated)
    :param business_type: ``subtitles``, ``font``, ``watermark``, ``opening``, ``ending`` or ``general``; for the media
        type ``text`` one of the first two (templated)
    :param title: at most 128 bytes; by default made from the date (templated)
    :param description: at most 1,024 bytes (templated)
    :param cover_url: URL of the cover, at most 128 bytes (templated)
    :param media_tags: at most 16 tags with commas between them, each of at most 32 bytes (templated)
    :param cate_id: number of the category (templated)
    :param workflow_id: workflow to start for the asset (templated)
    :param reference_id: your own unique id, of 6 to 64 letters, digits, ``-`` and ``_`` (templated)
    :param register_config: settings such as ``{"NeedSprite": False, "NeedSnapshot": False}`` (templated)
    :param smart_tag_template_id: template of a tagging job that the registration starts, which is billed (templated)
    :param user_data: text, or a mapping sent as JSON, of at most 1,024 bytes (templated)
    :param region: region of the call; None takes the connection's (templated)
    :param ims_conn_id: id of the Airflow connection (templated)
    :param kwargs: those of :class:`~airflow.sdk.BaseOperator`
    :raises ImsConfigurationError: if an argument cannot be right; nothing was sent
    :raises ImsSubmitUnknownError: if the response is lost; Airflow may retry it
    :raises ImsApiError: if the service refuses the request; the subclass says why
    """

    template_fields: Sequence[str] = (*MEDIA_REGISTRATION.arguments, "region", "ims_conn_id")
    input_url: Template[str]
    overwrite: Template[bool | str | None]
    media_type: Template[str | None]
    business_type: Template[str | None]
    title: Template[str | None]
    description: Template[str | None]
    cover_url: Template[str | None]
    media_tags: Template[str | None]
    cate_id: Template[int | str | None]
    workflow_id: Template[str | None]
    reference_id: Template[str | None]
    register_config: Template[str | Mapping[str, Any] | None]
    smart_tag_template_id: Template[str | None]
    user_data: Template[str | Mapping[str, Any] | None]
    region: Template[str | None]
    ims_conn_id: Template[str]
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(MEDIA_REGISTRATION.json_arguments, "json")
    ui_color = "#fff1e6"

    if TYPE_CHECKING:

        @property
        def output(self) -> Any:
            """What stands for the value in other tasks: their functions are typed with the value, not with XComArg."""

        @classmethod
        def partial(cls, **kwargs: Unpack[RegisterMediaInfoArguments]) -> JobPartial:
            """Return the arguments that all mapped tasks share."""

    def __init__(
        self,
        *,
        input_url: str | XComArg,
        overwrite: bool | str | XComArg | None = None,
        media_type: str | XComArg | None = None,
        business_type: str | XComArg | None = None,
        title: str | XComArg | None = None,
        description: str | XComArg | None = None,
        cover_url: str | XComArg | None = None,
        media_tags: str | XComArg | None = None,
        cate_id: int | str | XComArg | None = None,
        workflow_id: str | XComArg | None = None,
        reference_id: str | XComArg | None = None,
        register_config: str | Mapping[str, Any] | XComArg | None = None,
        smart_tag_template_id: str | XComArg | None = None,
        user_data: str | Mapping[str, Any] | XComArg | None = None,
        region: str | XComArg | None = None,
        ims_conn_id: str | XComArg = ImsHook.default_conn_name,
        **kwargs: Unpack[BaseOperatorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.input_url = input_url
        self.overwrite = overwrite
        self.media_type = media_type
        self.business_type = business_type
        self.title = title
        self.description = description
        self.cover_url = cover_url
        self.media_tags = media_tags
        self.cate_id = cate_id
        self.workflow_id = workflow_id
        self.reference_id = reference_id
        self.register_config = register_config
        self.smart_tag_template_id = smart_tag_template_id
        self.user_data = user_data
        self.region = region
        self.ims_conn_id = ims_conn_id

    def execute(self, context: Context) -> str:
        """Register the object, and return the id of its asset."""
        from airflow_provider_ims.jobs.parameters import submission_parameters  # noqa: PLC0415 - not to parse a DAG file

        hook = ImsHook(ims_conn_id=self.ims_conn_id, region=self.region)
        with retries_without_record():
            region = hook.settings.region
            with position_in_errors(context):
                parameters = submission_parameters(MEDIA_REGISTRATION, vars(self), region=region)
            request = SubmissionRequest(MEDIA_REGISTRATION, region, parameters)
            request = request.with_client_token(Attempt.from_context(self, context).client_token())
            media_id = self._register(hook, request)
        if self.do_xcom_push:
            context["ti"].xcom_push(key=MEDIA_REGISTRATION.result_name, value=media_id)
        return media_id

    def _register(self, hook: ImsHook, request: SubmissionRequest) -> str:
        try:
            response = hook.call(request.action, request.params, mutates=True)
        except ImsSubmitUnknownError as lost:
            raise _repeatable(lost.problem, request, lost.request_id) from None
        except ImsRequestError as refused:
            if refused.code is not None and refused.code.startswith("MediaAlreadyExist"):
                refused.add_advice(
                    "The URL is registered already: give overwrite=True to delete that asset and register a new one, "
                    "or look up its MediaId with GetMediaInfo, which takes an InputURL."
                )
            raise
        registered = read_submission(MEDIA_REGISTRATION, response)
        if registered is None:
            problem = f"{request.description} was carried out, and the response of the service has no MediaId."
            raise _repeatable(problem, request, response.get("RequestId"))
        self.log.info(
            "Registered %s as media asset %s in %s (RequestId %s)",
            request.subject,
            registered.job_id,
            request.region,
            registered.request_id,
        )
        return registered.job_id


def _repeatable(problem: str, request: SubmissionRequest, request_id: str | None) -> ImsSubmitUnknownError:
    """Return the error for a lost response of which Airflow may retry the request: it has a ``ClientToken``."""
    return ImsSubmitUnknownError(
        problem,
        advice="The same request with the same ClientToken may be sent again: it registers nothing twice.",
        action=request.action,
        request_id=request_id,
        is_repeatable=True,
    )
