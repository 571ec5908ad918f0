"""The DAG of test_credentials.py: for each connection, a job is waited for on the worker, deferred and by a sensor.

``IMS_CONNECTIONS`` names the connections, ``IMS_WAYS`` the ways of waiting.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.sensors.job import ImsJobSensor

MEDIA = "oss://rights-evidence/suspects/clip-1.mp4"
QUICK: dict[str, Any] = {"poll_interval": 0.5, "max_poll_interval": 0.5, "timeout": 60}

WAYS = os.environ["IMS_WAYS"].split(",")

with DAG("credentials", schedule=None) as dag:
    for conn_id in os.environ["IMS_CONNECTIONS"].split(","):
        if "worker" in WAYS:
            ImsSubmitCopyrightExtractJobOperator(
                task_id=f"worker-{conn_id}",
                ims_conn_id=conn_id,
                input_media=MEDIA,
                wait_for_completion=True,
                deferrable=False,
                **QUICK,
            )
        if "deferred" in WAYS:
            ImsSubmitCopyrightExtractJobOperator(
                task_id=f"deferred-{conn_id}", ims_conn_id=conn_id, input_media=MEDIA, deferrable=True, **QUICK
            )
        if "sensor" in WAYS:
            submit = ImsSubmitCopyrightExtractJobOperator(
                task_id=f"submit-{conn_id}", ims_conn_id=conn_id, input_media=MEDIA
            )
            ImsJobSensor(
                task_id=f"sensor-{conn_id}",
                ims_conn_id=conn_id,
                job_id=submit.output,
                deferrable=True,
                poke_interval=0.5,
                max_wait=0.5,
                timeout=60,
            )
