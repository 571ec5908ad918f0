"""The accounts of the cluster tests: what counts as lost, and what as unexplained. Needs no cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.cluster.loads import Way
from tests.cluster.trials import Account, Instance, line

TEXT = "(c) defer-0"
DONE = {"return_value": "J1", "job_id": "J1", "watermark": TEXT}


def instance(**changes: Any) -> Instance:
    done = Instance(Way.DEFER, 0, "success", attempts=1, jobs=["J1"], xcoms=DONE, log="")
    return replace(done, **changes)


@pytest.mark.parametrize(
    ("changes", "lost", "unexplained"),
    [
        pytest.param({}, 0, 0, id="one job and its result"),
        pytest.param({"way": Way.SUBMIT, "xcoms": {"return_value": "J1", "job_id": "J1"}}, 0, 0, id="submitted only"),
        pytest.param({"xcoms": {"return_value": "J1", "job_id": "J1"}}, 1, 0, id="success without a watermark"),
        pytest.param({"xcoms": {**DONE, "watermark": "(c) defer-1"}}, 1, 0, id="another task's watermark"),
        pytest.param({"jobs": []}, 1, 0, id="a JobId that is not on the bill"),
        pytest.param({"jobs": ["J0", "J1"]}, 0, 1, id="a second bill"),
        pytest.param(
            {"jobs": ["J0", "J1"], "log": "Starting over: the task was cleared after"}, 0, 0, id="a clear explains it"
        ),
        pytest.param(
            {"jobs": ["J0", "JX", "J1"], "log": "Starting over: the task was cleared after"}, 0, 1, id="explains one"
        ),
        pytest.param({"state": "failed", "log": "ImsSubmitUnknownError"}, 0, 0, id="unknown submission"),
        pytest.param({"state": "failed", "log": "Submitted J1"}, 0, 1, id="a failure without a reason"),
        pytest.param({"state": "failed", "log": "AirflowException"}, 1, 1, id="a job that no log names"),
        pytest.param({"state": None, "log": "This task no longer waits for job J1."}, 0, 0, id="deleted, and told"),
        pytest.param({"state": None}, 1, 0, id="deleted, and not told"),
    ],
)
def test_account_counts_what_is_lost_and_unexplained(changes: dict[str, Any], lost: int, unexplained: int) -> None:
    """A bill needs a result or a log line that names its job, and each further one a reason."""
    one = instance(**changes)
    assert (one.lost, one.unexplained) == (lost, unexplained)


def test_line_of_an_account_has_its_sums() -> None:
    """A line has the numbers of tasks and bills, what is lost and unexplained, and the outcomes."""
    instances = [instance(), instance(jobs=["J0", "J1"]), instance(state="failed", log="ImsSubmitUnknownError")]
    text = line(Account("kill -9 of a worker", instances, "1 submitting", 12.3))
    assert text.split()[5:10] == ["3", "4", "0", "1", "12"]
    assert text.endswith("2 success, 1 unknown submission; 1 submitting")
