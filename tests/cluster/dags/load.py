"""Mapped tasks in all ways of waiting, and many deferred tasks."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.cluster.loads import LOADS, Way, media_of

for _load in LOADS:
    with DAG(_load.dag_id, schedule=None) as dag:
        for _way, _number in _load.tasks.items():
            ImsSubmitCopyrightExtractJobOperator.partial(
                task_id=_way,
                wait_for_completion=_way is not Way.SUBMIT,
                deferrable=_way is Way.DEFER,
                poll_interval=1,
                max_poll_interval=2,
                # Enough for attempts that Airflow cannot start while PostgreSQL or the API server is away.
                retries=10,
                retry_delay=1,
                max_retry_delay=5,
            ).expand(input_media=[media_of("{{ run_id }}", _way, number) for number in range(_number)])
    globals()[_load.dag_id] = dag
