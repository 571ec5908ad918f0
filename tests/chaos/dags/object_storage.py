"""Tasks whose record is on object storage."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from tests.chaos.crash_points import Point, Step, Way
from tests.chaos.operators import ClearingOperator, CrashingOperator, StoppingOperator
from tests.runs import TASK, media_of

OPERATORS: dict[str, tuple[type[ImsSubmitCopyrightExtractJobOperator], dict[str, Any]]] = {
    **{f"crashing_{way}": (CrashingOperator, {"point": Point.BEFORE_XCOM}) for way in Way},
    "gone": (StoppingOperator, {"step": Step.BEFORE_XCOM}),
    "cleared": (ImsSubmitCopyrightExtractJobOperator, {}),
    "cleared_and_crashing": (ClearingOperator, {}),
    "zombie": (StoppingOperator, {"step": Step.BEFORE_RECORD, "ims_conn_id": "zombie"}),
}

for _dag_id, (_operator, _arguments) in OPERATORS.items():
    with DAG(_dag_id, schedule=None) as _dag:
        _operator(
            task_id=TASK,
            input_media=media_of(_dag_id),
            wait_for_completion=not _dag_id.endswith(Way.SUBMIT),
            deferrable=_dag_id.endswith(Way.DEFER),
            poll_interval=0.5,
            # On a busy machine a live worker may count as dead.
            retries=10,
            retry_delay=0.1,
            **_arguments,
        )
    globals()[_dag_id] = _dag
