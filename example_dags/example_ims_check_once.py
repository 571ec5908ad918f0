"""Check each video once, whatever the number of runs: a SQL table keeps which videos were checked, and what was found.

The provider pays once within a task instance. Two runs are two task instances: if both are given the same video, both
submit it. Here, a run first claims the videos in a table whose primary key is the video, so that each belongs to one
run.

Needs the connections `ims_default` (Admin > Connections > Alibaba Cloud IMS) and `rights_db` (any database of Airflow's
SQL providers that knows ON CONFLICT, such as PostgreSQL or SQLite), and videos in a bucket of the region.

Costs one CopyrightExtractJob for each video that no run has checked, billed per minute of video.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import BaseHook, chain, dag, task, task_group
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightExtractJobOperator

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

DATABASE = "rights_db"


@dag(
    schedule=None,  # each run is billed
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    tags=["ims", "copyright"],
    doc_md=__doc__,
)
def example_ims_check_once() -> None:
    """Claim the videos that no run has, check them, and keep the findings."""
    create_table = SQLExecuteQueryOperator(
        task_id="create_table",
        conn_id=DATABASE,
        sql="""
            CREATE TABLE IF NOT EXISTS checked_videos (
                media VARCHAR(1024) PRIMARY KEY,
                run_id VARCHAR(250) NOT NULL,
                job_id VARCHAR(64),
                outcome VARCHAR(32),
                watermark TEXT
            )
        """,
    )

    @task
    def suspects() -> list[str]:
        """Return the suspects. Replace it with the list of your crawler, which may name a video in many runs."""
        return [f"oss://rights-evidence/suspects/clip-{number}.mp4" for number in (1, 2, 3)]

    @task
    def claim(media: list[str], run: str) -> list[str]:
        """Claim the videos that no other run has, and return those of this run.

        A retry, or a clear of the run, gets the same videos in the same order.
        """
        database: DbApiHook = BaseHook.get_hook(DATABASE)
        insert = "INSERT INTO checked_videos (media, run_id) VALUES (?, ?) ON CONFLICT (media) DO NOTHING"
        select = "SELECT media FROM checked_videos WHERE run_id = ? ORDER BY media"
        for one in media:
            database.run(insert.replace("?", database.placeholder), parameters=(one, run))
        rows = database.get_records(select.replace("?", database.placeholder), parameters=(run,))
        return [row[0] for row in rows]

    @task_group
    def check(media: str) -> None:
        """Check one video. If it fails, the others go on."""
        extract = ImsSubmitCopyrightExtractJobOperator(
            task_id="extract",
            input_media=media,
            user_data={"run_id": "{{ run_id }}"},  # stored with the job: support can search for it
            deferrable=True,
            # The service does not report that there is no watermark: we take four hours of empty responses for it.
            no_watermark_after=timedelta(hours=4),
            timeout=timedelta(hours=12),
            map_index_template="{{ task.input_media }}",  # the UI shows the video, not a number
        )

        @task(map_index_template="{{ task.op_kwargs['media'] }}")
        def keep(media: str, job_id: str, outcome: str, watermark: str) -> None:
            """Write what was found."""
            database: DbApiHook = BaseHook.get_hook(DATABASE)
            update = "UPDATE checked_videos SET job_id = ?, outcome = ?, watermark = ? WHERE media = ?"
            database.run(update.replace("?", database.placeholder), parameters=(job_id, outcome, watermark, media))

        keep(
            media=media,
            job_id=extract.output,
            outcome=extract.output["outcome"],
            watermark=extract.output["watermark"],
        )

    media: Any = suspects()  # stands for the list that the task gets
    claimed = claim(media, "{{ run_id }}")
    chain(create_table, claimed)
    check.expand(media=claimed)


example_ims_check_once()
