"""A job family that the provider does not run yet, to test what holds for families in general."""

from __future__ import annotations

from airflow_provider_ims.jobs.types import JobType

# Its query reports a state, and its jobs can be cancelled; neither holds for watermark jobs.
IPRODUCTION = JobType(
    name="IProductionJob",
    submit_action="SubmitIProductionJob",
    query_action="QueryIProductionJob",
    documentation="https://help.aliyun.com/en/ims/developer-reference/api-ice-2020-11-09-queryiproductionjob",
    job_id_path="JobId",
    result_path="Result",
    state_path="Status",
    code_path="Code",
    message_path="Message",
    cancel_action="CancelIProductionJob",
)
