"""The command ``airflow ims resume``: has cleared tasks resume their jobs, not submit new ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.cli.simple_table import AirflowConsole
from airflow.utils import cli as cli_utils
from airflow.utils.cli import suppress_logs_and_warning
from airflow.utils.session import create_session
from airflow.utils.state import State, TaskInstanceState

from airflow_provider_ims.jobs.durable import KEY, RETENTION
from airflow_provider_ims.jobs.resume import RESUME_KEY
from airflow_provider_ims.jobs.submission import SubmissionRecord

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class _Selected:
    """One task instance: the JobId to resume, None for that of the record; and why it cannot resume, None if it can."""

    map_index: int
    state: str | None
    recorded: str | None = None
    given: str | None = None
    problem: str | None = None

    def as_row(self, done: str) -> dict[str, Any]:
        """Return the row of the listing."""
        source = "given" if self.given else "record" if self.recorded else ""
        return {
            "map_index": self.map_index,
            "state": self.state or "none",
            "job_id": self.given or self.recorded or "",
            "from": source,
            "result": self.problem or done,
        }


@cli_utils.action_cli  # type: ignore[untyped-decorator]
@suppress_logs_and_warning
def resume(args: Namespace) -> None:
    """Write the resume key of task instances, and list what each will do after a clear.

    :param args: arguments of the command line
    :raises SystemExit: if one of them cannot resume; the key of the others is written
    """
    try:
        from airflow.state import TaskScope, get_state_backend  # noqa: PLC0415 - since Airflow 3.3
    except ImportError:
        raise SystemExit(
            "airflow ims resume needs Airflow 3.3 or newer: older versions keep no record of a job."
        ) from None
    given = _job_ids(args.job_id)
    with create_session() as session:
        chosen = _select(args, given, session)
        for one in chosen:
            if one.problem is None and not args.dry_run:
                get_state_backend().set(
                    TaskScope(args.dag_id, args.run_id, args.task_id, one.map_index),
                    RESUME_KEY,
                    json.dumps(one.given or True),
                    expires_at=datetime.now(UTC) + RETENTION,
                    session=session,
                )
    done = "would resume after a clear" if args.dry_run else "resumes after a clear"
    AirflowConsole().print_as([one.as_row(done) for one in chosen], args.output)
    if problems := [one for one in chosen if one.problem]:
        raise SystemExit(f"{len(problems)} of {len(chosen)} task instances cannot resume a job: see the last column.")


def _job_ids(texts: Iterable[str]) -> dict[int | None, str]:
    """Return the JobIds of the command line by map index; None for one without a map index."""
    found: dict[int | None, str] = {}
    for text in texts:
        left, separator, right = text.rpartition("=")
        try:
            index = int(left) if separator else None
        except ValueError:
            raise SystemExit(f"--job-id {text!r}: the map index before = is not a number.") from None
        job_id = right.strip()
        if job_id.lower() in {"", "none", "null", "nan", "job_id"}:
            raise SystemExit(f"--job-id {text!r}: give a JobId.")
        if index in found:
            raise SystemExit(
                "--job-id: " + ("one JobId only without a map index." if index is None else f"two for {index}.")
            )
        found[index] = job_id
    return found


def _select(args: Namespace, given: dict[int | None, str], session: Session) -> list[_Selected]:
    states = _states(args, session)
    wanted = {*(args.map_index or ()), *(index for index in given if index is not None)}
    if not states:
        raise SystemExit(f"There is no task {args.task_id!r} in the run {args.run_id!r} of the Dag {args.dag_id!r}.")
    if missing := sorted(wanted - states.keys()):
        raise SystemExit(f"The task {args.task_id!r} has no map index {', '.join(map(str, missing))} in this run.")
    indexes = sorted(wanted or (index for index, state in states.items() if state == TaskInstanceState.FAILED))
    if not indexes:
        raise SystemExit(
            "No instance of the task has failed. Name those that shall resume: --map-index, -1 if not mapped."
        )
    if None in given:
        if len(indexes) > 1:
            raise SystemExit(f"{len(indexes)} instances are selected. Say whose job it is: --job-id MAP_INDEX=JOB_ID.")
        given = {indexes[0]: given[None]}
    return [_judge(index, states[index], _record(args, index, session), given.get(index)) for index in indexes]


def _judge(map_index: int, state: str | None, value: object, given: str | None) -> _Selected:
    """Return what a task instance would do after a clear.

    :param value: its record, as the database has it; None if it has none
    :param given: the JobId from the command line
    """
    if state not in {*State.finished, TaskInstanceState.UP_FOR_RETRY}:
        problem = "not changed: an attempt runs or is about to; wait until it has ended"
        return _Selected(map_index, state, given=given, problem=problem)
    if given is not None:
        return _Selected(map_index, state, given=given)
    if value is None:
        return _Selected(map_index, state, problem="not changed: there is no record of a job; give its --job-id")
    try:
        record = SubmissionRecord.from_value(value)
    except ValueError:  # in another store, of which the database has a reference; or damaged: then the task says so
        return _Selected(map_index, state)
    if record.job_id is None:
        problem = f"not changed: it is unknown whether {record} created a job; give its --job-id if you find it"
        return _Selected(map_index, state, problem=problem)
    return _Selected(map_index, state, recorded=record.job_id)


def _states(args: Namespace, session: Session) -> dict[int, str | None]:
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415 - heavy
    from sqlalchemy import select  # noqa: PLC0415

    where = {"dag_id": args.dag_id, "run_id": args.run_id, "task_id": args.task_id}
    rows = session.execute(select(TaskInstance.map_index, TaskInstance.state).filter_by(**where))
    return {row.map_index: row.state for row in rows}


def _record(args: Namespace, map_index: int, session: Session) -> object:
    from airflow.state import TaskScope, get_state_backend  # noqa: PLC0415 - since Airflow 3.3

    scope = TaskScope(args.dag_id, args.run_id, args.task_id, map_index)
    text = get_state_backend().get(scope, KEY, session=session)
    return None if text is None else json.loads(text)
