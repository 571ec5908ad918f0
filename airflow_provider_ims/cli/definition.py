"""The commands and their arguments. Airflow loads this at each start of its CLI, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand


def get_commands() -> list[CLICommand]:
    """Return the commands, for Airflow 3.2 and newer."""
    from airflow.cli.cli_config import (  # noqa: PLC0415 - loaded already, by the CLI
        ARG_DAG_ID,
        ARG_OUTPUT,
        ARG_TASK_ID,
        ARG_VERBOSE,
        ActionCommand,
        Arg,
        GroupCommand,
        lazy_load_command,
    )

    resume = ActionCommand(
        name="resume",
        help="Let cleared tasks resume their jobs, not submit new ones",
        description=(
            "Mark task instances of one run so that their next attempt resumes the job of their last submission, or a "
            "job whose JobId you know. Then clear them: they submit nothing, and nothing is billed again. "
            "Needs Airflow 3.3."
        ),
        func=lazy_load_command("airflow_provider_ims.cli.resume.resume"),
        args=(
            ARG_DAG_ID,
            Arg(("run_id",), help="The id of the Dag run"),
            ARG_TASK_ID,
            Arg(
                ("-m", "--map-index"),
                help="Instances of a mapped task; -1 is the one of a task that is not mapped. Default: all that failed",
                type=int,
                nargs="+",
                action="extend",
            ),
            Arg(
                ("-j", "--job-id"),
                help="The job to resume, if it is not that of the record: JOB_ID for one instance, or MAP_INDEX=JOB_ID",
                nargs="+",
                action="extend",
                default=[],
            ),
            Arg(("-n", "--dry-run"), help="Show what would be done, and change nothing", action="store_true"),
            ARG_OUTPUT,
            ARG_VERBOSE,
        ),
    )
    return [
        GroupCommand(name="ims", help="Alibaba Cloud Intelligent Media Services (IMS) jobs", subcommands=(resume,)),
    ]
