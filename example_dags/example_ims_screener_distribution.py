"""Embed a mark of its own into the copy of a film for each partner, and keep a register of the marks in a SQL table.

If a copy leaks, the extraction returns the mark, and the register says which partner had it.

Needs the connections `ims_default` (Admin > Connections > Alibaba Cloud IMS) and `rights_db` (any database of Airflow's
SQL providers that knows ON CONFLICT, such as PostgreSQL or SQLite), and buckets for master and screeners in the region
of the service.

Costs one CopyrightJob for each partner, billed per minute of video.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

# The same names as in airflow.sdk, on Airflow 2.11 too.
from airflow.providers.common.compat.sdk import chain, dag, task, task_group
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

from airflow_provider_ims.operators.copyright import ImsSubmitCopyrightJobOperator

DATABASE = "rights_db"
MASTER = "oss://studio-masters/harbour-lights.mp4"


@dag(
    schedule=None,  # each run is billed
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["ims", "copyright"],
    doc_md=__doc__,
)
def example_ims_screener_distribution() -> None:
    """Make one marked copy for each partner, and register its mark."""
    create_register = SQLExecuteQueryOperator(
        task_id="create_register",
        conn_id=DATABASE,
        sql="""
            CREATE TABLE IF NOT EXISTS screeners (
                mark VARCHAR(250) PRIMARY KEY,
                partner VARCHAR(250) NOT NULL,
                media VARCHAR(1024) NOT NULL,
                job_id VARCHAR(64) NOT NULL
            )
        """,
    )

    @task
    def partners() -> list[dict[str, str]]:
        """Return who gets a copy, with which mark, and where. Replace it with a query of your own."""
        return [
            {
                "partner": partner,
                "mark": f"Harbour Lights, screener {number}",
                "media": f"oss://studio-screeners/harbour-lights/{number}.mp4",
            }
            for number, partner in enumerate(["North Cinema", "South Festival", "West Broadcast"], start=1001)
        ]

    @task_group
    def screener(partner: str, mark: str, media: str) -> None:
        """Make the copy of one partner. If it fails, the others go on."""
        embed = ImsSubmitCopyrightJobOperator(
            task_id="embed",
            input_media=MASTER,
            output_media=media,
            message=mark,
            deferrable=True,
            timeout=timedelta(hours=12),
            map_index_template="{{ task.message }}",  # the UI shows the mark, not a number
            retries=2,  # on Airflow 3.3 they resume the job; before, a retry after a crash would be a second bill
        )
        SQLExecuteQueryOperator(
            task_id="register",
            conn_id=DATABASE,
            # So SQLite names parameters; PostgreSQL writes %(mark)s.
            sql="""
                INSERT INTO screeners (mark, partner, media, job_id) VALUES (:mark, :partner, :media, :job_id)
                ON CONFLICT (mark) DO UPDATE
                SET partner = excluded.partner, media = excluded.media, job_id = excluded.job_id
            """,
            parameters={"mark": mark, "partner": partner, "media": media, "job_id": embed.output},
            retries=2,
        )

    rows: Any = partners()  # stands for the list that the group gets
    chain(create_register, screener.expand_kwargs(rows))


example_ims_screener_distribution()
