"""The button that opens a job's query in Alibaba Cloud's OpenAPI Explorer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

    from airflow_provider_ims.jobs.types import JobType

EXPLORER = "https://api.aliyun.com/api/ICE/2020-11-09"


class ImsJobLink(BaseOperatorLink):
    """Opens the query of the task's job, filled in, in OpenAPI Explorer.

    No page of the IMS console shows a single job of every family. What the link needs is stored in the XCom
    ``ims_job_link``.
    """

    name = "IMS job"
    key = "ims_job_link"

    @staticmethod
    def value(job_type: JobType, *, region: str, job_id: str) -> dict[str, str | None]:
        """Return what the link of a task needs, to be pushed with :attr:`key`.

        :param job_type: the job's family
        :param region: region of the job
        :param job_id: the job's id
        """
        return {
            "region": region,
            "query_action": job_type.query_action,
            "query_parameter": job_type.query_parameter,
            "job_id": job_id,
        }

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL, or an empty string if there is no job, or no query for it.

        :param operator: the task's operator
        :param ti_key: the task instance
        """
        job: dict[str, Any] | None = XCom.get_value(ti_key=ti_key, key=self.key)
        if not job or not job["query_action"]:
            return ""
        params = quote(json.dumps({job["query_parameter"]: job["job_id"]}, separators=(",", ":")), safe="")
        return f"{EXPLORER}/{job['query_action']}?RegionId={job['region']}&params={params}"
