"""Types of the arguments of operators and sensors. Only type checkers import it, because DAG files are parsed often.

``__init__`` has each argument in its signature. For ``partial``, Airflow requires keyword arguments, so each class that
users map has a TypedDict of its arguments here; a test compares the two.

The arguments of Airflow's base classes are listed by name, so that a misspelt argument of ours is an error. The list
has those of Airflow 2.11 to 3.3; when a DAG file is parsed, Airflow refuses what its own version does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, Required, TypedDict, TypeVar, overload

from airflow.providers.common.compat.sdk import DAG, BaseNotifier, Context, TaskGroup, XComArg

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

    from airflow_provider_ims.jobs.media import Media
    from airflow_provider_ims.jobs.polling import Duration
    from airflow_provider_ims.jobs.retry import OnUnknownSubmit

    class JobPartial(OperatorPartial):
        """What ``partial`` of our classes returns."""

        def expand(self, **mapped_kwargs: Any) -> MappedJob:
            """Run one task for each value; for several arguments, one for each combination."""

        def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> MappedJob:
            """Run one task for each dict of arguments."""

    class MappedJob(MappedOperator):
        """A mapped task of our classes."""

        @property
        def output(self) -> Any:
            """What stands for the return values in other tasks."""


Callback = Callable[[Context], None] | BaseNotifier
T = TypeVar("T")


class Template(Generic[T]):
    """A template field: assigned a value or an XComArg, and read as the value, which Airflow renders before execute."""

    @overload
    def __get__(self, task: None, owner: type) -> Template[T]: ...
    @overload
    def __get__(self, task: object, owner: type) -> T: ...
    def __get__(self, task: object, owner: type) -> Template[T] | T:
        """Return the rendered value."""
        raise NotImplementedError

    def __set__(self, task: object, value: T | XComArg) -> None:
        """Keep the value, or the XComArg that stands for it until the task runs."""


class BaseOperatorArguments(TypedDict, total=False):
    """Arguments of :class:`~airflow.sdk.BaseOperator`."""

    task_id: Required[str]
    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: Any  # a RetryPolicy, from Airflow 3.3 on
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: DAG | None
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any  # a word, a WeightRule or a strategy, whose class depends on the version
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: Callback | Collection[Callback] | None
    on_failure_callback: Callback | list[Callback] | None
    on_success_callback: Callback | Collection[Callback] | None
    on_retry_callback: Callback | list[Callback] | None
    on_skipped_callback: Callback | Collection[Callback] | None
    pre_execute: Callable[[Context], None] | None
    post_execute: Callable[[Context, Any], None] | None
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    task_concurrency: int | None  # Airflow 2
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: TaskGroup | None
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None  # from Airflow 3.3 on


class BaseSensorArguments(BaseOperatorArguments, total=False):
    """Arguments of :class:`~airflow.sdk.BaseSensorOperator` that are not in the signatures of our sensors."""

    silent_fail: bool
    never_fail: bool


class SubmitArguments(BaseOperatorArguments, total=False):
    """Arguments that all operators share."""

    wait_for_completion: bool | None
    deferrable: bool | None
    poll_interval: Duration
    max_poll_interval: Duration
    timeout: Duration
    durable: bool
    on_unknown_submit: OnUnknownSubmit
    region: str | XComArg | None
    ims_conn_id: str | XComArg


class ExtractArguments(SubmitArguments, total=False):
    """Arguments that the operators that read watermarks share."""

    user_data: str | Mapping[str, Any] | XComArg | None
    job_params: Mapping[str, Any] | XComArg | None
    no_watermark_after: Duration | None


class SubmitCopyrightExtractArguments(ExtractArguments, total=False):
    """Arguments of the operator for copyright watermarks."""

    input_media: Media | XComArg
    algo_type: str | XComArg | None


class ProcessingArguments(SubmitArguments, total=False):
    """Arguments that the operators of most processing jobs share."""

    job_name: str | XComArg | None
    schedule_config: str | Mapping[str, Any] | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None


class SubmitMediaInfoArguments(ProcessingArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.processing.ImsSubmitMediaInfoJobOperator`."""

    input_media: Media | XComArg


class SubmitMediaConvertArguments(SubmitArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.processing.ImsSubmitMediaConvertJobOperator`."""

    config: str | Mapping[str, Any] | XComArg
    pipeline_id: str | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None


class SubmitTranscodeArguments(ProcessingArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.processing.ImsSubmitTranscodeJobOperator`."""

    input_group: str | Sequence[Mapping[str, Any]] | XComArg
    output_group: str | Sequence[Mapping[str, Any]] | XComArg


class SubmitSnapshotArguments(ProcessingArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.processing.ImsSubmitSnapshotJobOperator`."""

    input_media: Media | XComArg
    output_media: str | XComArg
    template_config: str | Mapping[str, Any] | XComArg


class SubmitDnaArguments(SubmitArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.dna.ImsSubmitDnaJobOperator`."""

    input_media: Media | XComArg
    dna_db_id: str | XComArg
    primary_key: str | XComArg
    config: str | Mapping[str, Any] | XComArg | None
    template_id: str | XComArg | None
    pipeline_id: str | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None
    cancel_on_kill: bool


class SubmitMediaProducingArguments(SubmitArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.producing.ImsSubmitMediaProducingJobOperator`."""

    output_media_config: str | Mapping[str, Any] | XComArg
    timeline: str | Mapping[str, Any] | XComArg | None
    project_id: str | XComArg | None
    template_id: str | XComArg | None
    clips_param: str | Mapping[str, Any] | XComArg | None
    output_media_target: str | XComArg | None
    editing_produce_config: str | Mapping[str, Any] | XComArg | None
    media_metadata: str | Mapping[str, Any] | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None


class SubmitSmarttagArguments(SubmitArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.tagging.ImsSubmitSmarttagJobOperator`."""

    input_media: Media | XComArg
    template_id: str | XComArg | None
    title: str | XComArg | None
    content: str | XComArg | None
    template_config: str | Mapping[str, Any] | XComArg | None
    schedule_config: str | Mapping[str, Any] | XComArg | None
    job_params: Mapping[str, Any] | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None


class UploadMediaByUrlArguments(SubmitArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.upload.ImsUploadMediaByUrlOperator`."""

    upload_urls: str | Sequence[str] | XComArg
    upload_target_config: str | Mapping[str, Any] | XComArg | None
    media_metadata: str | Sequence[Mapping[str, Any]] | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None


class RegisterMediaInfoArguments(BaseOperatorArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.upload.ImsRegisterMediaInfoOperator`."""

    input_url: str | XComArg
    overwrite: bool | str | XComArg | None
    media_type: str | XComArg | None
    business_type: str | XComArg | None
    title: str | XComArg | None
    description: str | XComArg | None
    cover_url: str | XComArg | None
    media_tags: str | XComArg | None
    cate_id: int | str | XComArg | None
    workflow_id: str | XComArg | None
    reference_id: str | XComArg | None
    register_config: str | Mapping[str, Any] | XComArg | None
    smart_tag_template_id: str | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None
    region: str | XComArg | None
    ims_conn_id: str | XComArg


class SubmitCopyrightArguments(SubmitArguments, total=False):
    """Arguments of :class:`~airflow_provider_ims.operators.copyright.ImsSubmitCopyrightJobOperator`."""

    input_media: Media | XComArg
    output_media: str | XComArg
    message: str | XComArg
    level: int | str | XComArg | None
    start_time: int | str | XComArg | None
    total_time: int | str | XComArg | None
    algo_type: str | XComArg | None
    description: str | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None
    job_params: Mapping[str, Any] | XComArg | None


class SubmitTraceAbArguments(SubmitArguments, total=False):
    """Arguments of the operator for A and B streams."""

    input_media: Media | XComArg
    output_media: str | XComArg
    level: int | str | XComArg | None
    start_time: int | str | XComArg | None
    total_time: int | str | XComArg | None
    cipher_base64ed: str | XComArg | None
    user_data: str | Mapping[str, Any] | XComArg | None


class SubmitTraceM3u8Arguments(SubmitArguments, total=False):
    """Arguments of the operator for the playlist of a viewer."""

    trace_media_id: str | XComArg
    trace: str | XComArg
    output_media: str | XComArg
    m3u8_type: str | XComArg | None
    key_uri: str | XComArg | None
    job_params: Mapping[str, Any] | XComArg | None


class SubmitTraceExtractArguments(ExtractArguments, total=False):
    """Arguments of the operator that reads trace watermarks."""

    input_media: Media | XComArg
    m3u8_type: str | XComArg | None


class SubmitJobArguments(SubmitArguments, total=False):
    """Arguments of the operator for jobs of any family."""

    job_type: str
    job_params: Mapping[str, Any] | XComArg | None
    cancel_on_kill: bool


class CallArguments(BaseOperatorArguments, total=False):
    """Arguments of the operator for any action."""

    action: str
    action_params: Mapping[str, Any] | XComArg | None
    result_path: str | None
    mutates: bool
    region: str | XComArg | None
    ims_conn_id: str | XComArg


class SensorArguments(BaseSensorArguments, total=False):
    """Arguments that all sensors share."""

    job_id: str | XComArg
    deferrable: bool | None
    mode: Literal["poke", "reschedule"]
    poke_interval: Duration
    exponential_backoff: bool
    max_wait: Duration | None
    timeout: Duration
    soft_fail: bool
    region: str | XComArg | None
    ims_conn_id: str | XComArg


class JobSensorArguments(SensorArguments, total=False):
    """Arguments of the sensor for all job families."""

    job_type: str | XComArg


class ExtractSensorArguments(SensorArguments, total=False):
    """Arguments of the sensors for watermarks."""

    no_watermark_after: Duration | None
