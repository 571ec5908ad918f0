"""The workflow families.

Source: the request and response models of the official SDK, ``StartWorkflowRequest`` and ``StartAIWorkflowRequest``.
"""

from __future__ import annotations

from decimal import Decimal

from airflow_provider_ims.emulator.families.family import JobFamily, JobState, Outcome, words
from airflow_provider_ims.emulator.families.inputs import plan_by_input

_RUNNING, _WORDS = words(["Init", "Processing"], "Succeed", "Failed", "Canceled")
_AI_RUNNING, _AI_WORDS = words(["running"], "succeeded", "failed", "stopped")

WORKFLOW = JobFamily(
    name="StartWorkflow",
    submit_action="StartWorkflow",
    query_action="GetWorkflowTask",
    plan=plan_by_input,
    media_parameter="TaskInput",
    user_data_limit=512,
    query_parameter="TaskId",
    job_id_path="TaskId",
    query_id_path="WorkflowTask.TaskId",
    state_path="WorkflowTask.Status",
    running_words=_RUNNING,
    state_words=_WORDS,
    result_path="WorkflowTask.ActivityResults",
    text_echoes={
        "WorkflowTask.TaskInput": "TaskInput",
        "WorkflowTask.UserData": "UserData",
        "WorkflowTask.Workflow.WorkflowId": "WorkflowId",
    },
    price=Decimal("0.45"),
    outcome=Outcome(JobState.SUCCEEDED, "[]"),
)

AI_WORKFLOW = JobFamily(
    name="StartAIWorkflow",
    submit_action="StartAIWorkflow",
    query_action="GetAIWorkflowTask",
    cancel_action="StopAIWorkflowTask",
    query_parameter="TaskId",
    job_id_path="TaskId",
    cancel_id_path="TaskId",
    query_id_path="WorkflowTask.TaskId",
    state_path="WorkflowTask.Status",
    running_words=_AI_RUNNING,
    state_words=_AI_WORDS,
    result_path="WorkflowTask.Outputs",
    text_echoes={
        "WorkflowTask.Inputs": "Inputs",
        "WorkflowTask.UserData": "UserData",
        "WorkflowTask.Workflow.WorkflowId": "WorkflowId",
    },
    price=Decimal("0.55"),
    outcome=Outcome(JobState.SUCCEEDED, "{}", fields={"WorkflowTask.NodeResults": "[]"}),
)

FAMILIES = (WORKFLOW, AI_WORKFLOW)
