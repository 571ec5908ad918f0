"""What the DAGs of the cluster tests have: shared by DAG file and tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Way(StrEnum):
    """What a task does with its job."""

    SUBMIT = "submit"
    WAIT = "wait"
    DEFER = "defer"


@dataclass(frozen=True)
class Load:
    """A DAG with mapped tasks.

    :param dag_id: its id
    :param tasks: number of instances of each task
    """

    dag_id: str
    tasks: dict[Way, int]

    @property
    def size(self) -> int:
        """Number of task instances of a run."""
        return sum(self.tasks.values())


MIXED = Load("mixed", {Way.SUBMIT: 4, Way.WAIT: 4, Way.DEFER: 4})
FEW = Load("few", {Way.DEFER: 3})
MANY = Load("many", {Way.DEFER: 30})
MOST = Load("most", {Way.DEFER: 200})
LOADS = (MIXED, FEW, MANY, MOST)


def media_of(run_id: str, way: Way, number: int) -> str:
    """Return the URL of the video of a task instance."""
    return f"oss://cluster/{run_id}/{way}-{number}.mp4"
