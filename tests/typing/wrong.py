"""Uses that mypy and pyright must refuse: each line that ends in `# E` is an error, and no other line is."""

from __future__ import annotations

from airflow.sdk import BaseOperator

from airflow_provider_ims.operators.call import ImsCallOperator
from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator
from airflow_provider_ims.operators.job import ImsSubmitJobOperator
from airflow_provider_ims.operators.processing import ImsSubmitMediaConvertJobOperator
from airflow_provider_ims.operators.upload import ImsRegisterMediaInfoOperator
from airflow_provider_ims.sensors.copyright import ImsCopyrightExtractJobSensor
from airflow_provider_ims.sensors.job import ImsJobSensor
from airflow_provider_ims.sensors.trace import ImsTraceExtractJobSensor

MEDIA = "oss://rights-evidence/clip.mp4"
crawl = BaseOperator(task_id="crawl")

# Misspelt, missing or foreign arguments.
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, defferable=True)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, retires=2)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, poke_interval=30)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit")  # E
ImsSubmitCopyrightExtractJobOperator(input_media=MEDIA)  # E
ImsSubmitCopyrightExtractJobOperator("submit", input_media=MEDIA)  # E
ImsJobSensor(task_id="wait", job_id="J", defferable=True)  # E
ImsJobSensor(task_id="wait", job_id="J", poll_interval=30)  # E
ImsJobSensor(task_id="wait", job_id="J", no_watermark_after=60)  # E
ImsJobSensor(task_id="wait")  # E
ImsCopyrightExtractJobSensor(task_id="wait", job_id="J", job_type="CopyrightExtractJob")  # E
ImsCopyrightExtractJobSensor(task_id="wait", job_id="J", no_watermark_afer=60)  # E
ImsTraceExtractJobSensor(task_id="wait", job_id="J", job_type="TraceExtractJob")  # E

ImsSubmitMediaConvertJobOperator(task_id="convert", config={}, input_media=MEDIA)  # E
ImsSubmitMediaConvertJobOperator(task_id="convert", config={}, cancel_on_kill=True)  # E
ImsSubmitMediaConvertJobOperator(task_id="convert")  # E
ImsSubmitJobOperator(task_id="any", job_params={})  # E
ImsSubmitJobOperator(task_id="any", job_type="SnapshotJob", params_of_job={})  # E
ImsCallOperator(task_id="call", action_params={})  # E
ImsRegisterMediaInfoOperator(task_id="register")  # E
ImsRegisterMediaInfoOperator(task_id="register", input_url=MEDIA, durable=True)  # E
ImsRegisterMediaInfoOperator(task_id="register", input_url=MEDIA, overwrite=5)  # E
ImsRegisterMediaInfoOperator.partial(task_id="register", deferrable=True).expand(input_url=[MEDIA])  # E
ImsCallOperator(task_id="call", action="GetMediaInfo", deferrable=True)  # E

# Values of another type.
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, deferrable="yes")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, wait_for_completion="no")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, poll_interval="30s")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, max_poll_interval=None)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, timeout="24:00")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, no_watermark_after="4h")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, durable="no")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, on_unknown_submit="retry")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=[MEDIA])  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=None)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, job_params="{}")  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, user_data=5)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, retries="2")  # E
ImsJobSensor(task_id="wait", job_id=["J"])  # E
ImsJobSensor(task_id="wait", job_id="J", deferrable="yes")  # E
ImsJobSensor(task_id="wait", job_id="J", mode="deferrable")  # E
ImsJobSensor(task_id="wait", job_id="J", poke_interval="30s")  # E
ImsJobSensor(task_id="wait", job_id="J", timeout=None)  # E
ImsCopyrightExtractJobSensor(task_id="wait", job_id="J", no_watermark_after="1h")  # E

ImsSubmitMediaConvertJobOperator(task_id="convert", config=[])  # E
ImsSubmitJobOperator(task_id="any", job_type="SnapshotJob", job_params=[])  # E
ImsSubmitJobOperator(task_id="any", job_type="SnapshotJob", cancel_on_kill="yes")  # E
ImsCallOperator(task_id="call", action="GetMediaInfo", mutates="no")  # E
ImsCallOperator(task_id="call", action="GetMediaInfo", result_path=5)  # E

# An output for an argument that is not a template.
ImsSubmitJobOperator(task_id="any", job_type=crawl.output)  # E
ImsCallOperator(task_id="call", action=crawl.output)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, deferrable=crawl.output)  # E
ImsSubmitCopyrightExtractJobOperator(task_id="submit", input_media=MEDIA, timeout=crawl.output)  # E
ImsJobSensor(task_id="wait", job_id="J", poke_interval=crawl.output)  # E

# What all mapped tasks share.
ImsSubmitCopyrightExtractJobOperator.partial(task_id="extract", defferable=True).expand(input_media=[MEDIA])  # E
ImsSubmitCopyrightExtractJobOperator.partial(task_id="extract", deferrable="yes").expand(input_media=[MEDIA])  # E
ImsSubmitCopyrightExtractJobOperator.partial(task_id="extract", poll_interval="30s").expand(input_media=[MEDIA])  # E
ImsSubmitCopyrightExtractJobOperator.partial().expand(input_media=[MEDIA])  # E
ImsSubmitMediaConvertJobOperator.partial(task_id="convert", poke_interval=30).expand(config=[{}])  # E
ImsSubmitJobOperator.partial(task_id="any", jobtype="SnapshotJob").expand(job_params=[{}])  # E
ImsCallOperator.partial(task_id="call", mutates="no").expand(action=["GetMediaInfo"])  # E
ImsJobSensor.partial(task_id="wait", poll_interval=30).expand(job_id=["J"])  # E
ImsCopyrightExtractJobSensor.partial(task_id="wait", job_type="CopyrightExtractJob").expand(job_id=["J"])  # E
ImsTraceExtractJobSensor.partial(task_id="wait", job_type="TraceExtractJob").expand(job_id=["J"])  # E
