"""Job families that the provider does not run yet, for what it knows of families in general."""

from __future__ import annotations

from airflow_provider_ims.jobs.types import JobType

# Its query reports a state, and it can be cancelled: watermark jobs have neither.
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
