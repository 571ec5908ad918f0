"""A client of the REST API of a temporary Airflow."""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from dev.sandbox import AirflowSandbox

T = TypeVar("T")

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
FINAL_STATES = frozenset({"success", "failed"})

# Seconds.
PARSE_TIMEOUT = 90.0
RUN_TIMEOUT = 180.0
_CALL_TIMEOUT = 30.0
# If many tasks start at once on few cores, SQLite stays locked for longer than the timeout of a call.
_COMMAND_TIMEOUT = 180.0
_POLL_INTERVAL = 0.25

_GIVEN_PORTS: set[int] = set()
"""What :func:`free_port` has returned: the server of a port may not have started yet."""


_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
_LOGIN_FILE = "simple_auth_manager_passwords.json.generated"
_TAIL_LINES = 40


class AirflowError(RuntimeError):
    """Airflow did not start, or did not reach a state in time; the message ends with the last lines of its logs."""


class ApiError(RuntimeError):
    """The REST API has returned an error.

    :param status: HTTP status
    :param text: the request and the response
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class AirflowApi(ABC):
    """The REST API of an Airflow that a subclass starts and stops. DAGs are not paused at creation.

    :param sandbox: provides AIRFLOW_HOME
    :param port: port of the API server; None uses 8080, or a free port if 8080 is in use
    :param env: further environment variables
    """

    username = "admin"

    def __init__(
        self, sandbox: AirflowSandbox, *, port: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        airflow = version("apache-airflow")
        if int(airflow.split(".")[0]) < 3:  # noqa: PLR2004 - the number of a major version
            raise AirflowError(f"The REST API is that of Airflow 3; the installed version is {airflow}.")
        self.sandbox = sandbox
        self.port = port or free_port(DEFAULT_PORT)
        self.url = f"http://{HOST}:{self.port}"
        self.env = {
            **sandbox.env,
            # Components are started as "airflow", which is on PATH only in an activated environment.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), sandbox.env.get("PATH", os.defpath)]),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            # Seconds until Airflow sees a new DAG file.
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
            # Long enough for SHA-512: with the generated secret, Airflow logs a warning at each request.
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # Another Airflow on this machine may use the default ports.
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            # Tasks call the API server on the loopback interface, which a proxy of the caller cannot reach.
            **{name: _with_loopback(sandbox.env.get(name)) for name in ("NO_PROXY", "no_proxy")},
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @abstractmethod
    def __enter__(self) -> Self:
        """Start Airflow, and wait until it is healthy."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop everything that was started."""

    @abstractmethod
    def _gone(self) -> str:
        """Say why there is nothing to wait for any more, as a part of a sentence; the empty text if there is."""

    @abstractmethod
    def log_tail(self) -> str:
        """Return the last lines of the output of Airflow's components, for an error message."""

    @cached_property
    def password(self) -> str:
        """The password that Airflow has generated for :attr:`username`."""
        passwords: dict[str, str] = json.loads((self.sandbox.home / _LOGIN_FILE).read_text())
        return passwords[self.username]

    @cached_property
    def token(self) -> str:
        """A token of the REST API, for the header ``Authorization: Bearer ...``."""
        login = {"username": self.username, "password": self.password}
        token: str = self._call("POST", "/auth/token", login)["access_token"]
        return token

    def request(self, method: str, path: str, payload: object = None) -> Any:
        """Call the REST API and return its response.

        :param method: HTTP method
        :param path: below ``/api/v2``, such as ``/dags``
        :param payload: sent as JSON, None for no body
        :raises ApiError: if the response is an error
        """
        return self._call(method, f"/api/v2{path}", payload, {"Authorization": f"Bearer {self.token}"})

    def tell(self, method: str, path: str, payload: object) -> None:
        """Send a command to the REST API, with retries if SQLite is locked or no response arrives.

        :param method: HTTP method
        :param path: below ``/api/v2``
        :param payload: sent as JSON; a command that creates an object must contain its id
        :raises ApiError: if the response is an error that a retry does not resolve
        """
        attempts = count(1)

        def done() -> bool:
            first = next(attempts) == 1
            try:
                self.request(method, path, payload)
            except ApiError as error:
                # The object exists: an earlier attempt has created it, and its response was lost.
                if first or error.status != HTTPStatus.CONFLICT:
                    raise
            return True

        self.wait_until(f"{method} {path} is done", done, _COMMAND_TIMEOUT)

    def wait_for_dag(self, dag_id: str, timeout: float = PARSE_TIMEOUT) -> None:
        """Wait until a DAG is parsed.

        :param dag_id: the DAG's id
        :param timeout: in seconds
        :raises AirflowError: if it is not parsed within the timeout; the message contains the import errors
        """
        try:
            self.wait_until(f"DAG {dag_id} is parsed", lambda: self._is_parsed(dag_id), timeout)
        except AirflowError as error:
            failures = self.request("GET", "/importErrors")["import_errors"]
            traces = "".join(f"\n{failure['filename']}:\n{failure['stack_trace']}" for failure in failures)
            raise AirflowError(f"{error}{traces}") from None

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a DAG run and return its id; if the DAG is not parsed yet, wait for it.

        :param dag_id: the DAG's id
        :param conf: the run's configuration
        """
        self.wait_for_dag(dag_id)
        run_id = f"manual__{secrets.token_hex(8)}"
        self.tell(
            "POST", f"/dags/{quote(dag_id)}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        )
        return run_id

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = RUN_TIMEOUT) -> str:
        """Wait until a DAG run has ended, and return ``success`` or ``failed``.

        :param dag_id: the DAG's id
        :param run_id: the run's id
        :param timeout: in seconds
        :raises AirflowError: if it has not ended within the timeout
        """

        def ended() -> str | None:
            state: str = self.request("GET", _run_path(dag_id, run_id))["state"]
            return state if state in FINAL_STATES else None

        try:
            return self.wait_until(f"run {run_id} of DAG {dag_id} has ended", ended, timeout)
        except AirflowError as error:
            unfinished = self._unfinished(dag_id, run_id)
            raise AirflowError(f"{error}\nTasks that have not ended: {unfinished}") from None

    def _unfinished(self, dag_id: str, run_id: str) -> str:
        """Describe the task instances of a run that have not ended, with the ends of their logs."""
        described = []
        try:
            for ti in self.task_instances(dag_id, run_id):
                if ti["state"] in {*FINAL_STATES, "skipped", "upstream_failed"}:
                    continue
                log = self.task_log(dag_id, run_id, ti["task_id"], ti["try_number"], map_index=ti["map_index"])
                lines = [str(line.get("event", line)) for line in log[-_TAIL_LINES:]]
                name = f"{ti['task_id']}[{ti['map_index']}]: {ti['state']}, attempt {ti['try_number']}"
                described.append("\n    ".join([name, *lines]))
        except (ApiError, OSError) as error:
            described.append(f"unknown ({error})")
        return "\n  ".join(described)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, as the REST API describes them."""
        response = self.request("GET", f"{_run_path(dag_id, run_id)}/taskInstances")
        instances: list[dict[str, Any]] = response["task_instances"]
        return instances

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom value of a task instance.

        :raises ApiError: with status 404, if there is none
        """
        task = _task_path(dag_id, run_id, task_id)
        return self.request(
            "GET", f"{task}/xcomEntries/{quote(key)}?map_index={map_index}&deserialize=false&stringify=false"
        )["value"]

    def task_log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, *, map_index: int = -1
    ) -> list[dict[str, Any]]:
        """Return the lines of a task's log, as the UI shows them: dicts with ``event``, ``level`` and ``logger``.

        :param dag_id: the DAG's id
        :param run_id: the run's id
        :param task_id: the task's id
        :param try_number: number of the attempt, from 1
        :param map_index: index of the mapped instance, -1 for a task that is not mapped
        """
        task = _task_path(dag_id, run_id, task_id)
        path = f"{task}/logs/{try_number}?full_content=true&map_index={map_index}"
        lines: list[dict[str, Any]] = self.request("GET", path)["content"]
        return lines

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task as failed or as success, as the UI does.

        :param dag_id: the DAG's id
        :param run_id: the run's id
        :param task_id: the task's id
        :param state: ``failed`` or ``success``
        """
        self.tell("PATCH", _task_path(dag_id, run_id, task_id), {"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task in any state, so that it runs again.

        :param dag_id: the DAG's id
        :param run_id: the run's id
        :param task_id: the task's id
        """
        payload = {"dag_run_id": run_id, "task_ids": [task_id], "only_failed": False, "dry_run": False}
        self.tell("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", payload)

    def wait_until(self, what: str, probe: Callable[[], T | None], timeout: float) -> T:
        """Call a function until its result is true, and return the result.

        :param what: description of the condition, for the error message
        :param probe: the function; it is called again after connection errors and HTTP status 5xx
        :param timeout: in seconds
        :raises AirflowError: if the result is not true within the timeout, or Airflow has ended
        """
        deadline = time.monotonic() + timeout
        while True:
            last_error = ""
            try:
                if result := probe():
                    return result
            except ApiError as error:
                # Under load SQLite is locked at times: retry.
                if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                last_error = f" ({error})"
            except OSError as error:  # the API server does not listen yet
                last_error = f" ({error})"
            if gone := self._gone():
                raise AirflowError(f"Waited until {what}, but {gone}. {self.log_tail()}")
            if time.monotonic() > deadline:
                raise AirflowError(f"Timed out after {timeout:.0f} s: {what}{last_error}. {self.log_tail()}")
            time.sleep(_POLL_INTERVAL)

    def _is_healthy(self) -> bool:
        health = self._call("GET", "/api/v2/monitor/health")
        return all((health.get(component) or {}).get("status") == "healthy" for component in _COMPONENTS)

    def _is_parsed(self, dag_id: str) -> bool:
        try:
            self.request("GET", f"/dags/{quote(dag_id)}")
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def _call(self, method: str, path: str, payload: object = None, headers: Mapping[str, str] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - a fixed http URL
            self.url + path,
            data=None if payload is None else json.dumps(payload).encode(),
            method=method,
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        try:
            with self._opener.open(request, timeout=_CALL_TIMEOUT) as response:
                return json.loads(response.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            raise ApiError(error.code, f"{method} {path}: {error.code} {text}") from None


def tail(paths: Iterable[Path], lines: int = _TAIL_LINES) -> str:
    """Return the last lines of log files, for an error message."""
    texts = [(path, path.read_text(errors="replace")) for path in paths if path.exists()]
    ends = [f"{path.name} ends:\n" + ("\n".join(text.splitlines()[-lines:]) or "(nothing)") for path, text in texts]
    return "\n".join(ends) or "There is no log."


def free_port(preferred: int = 0) -> int:
    """Return a free port of the loopback interface. Unless it is the preferred one, this process gets it only once.

    :param preferred: returned if it is free
    """
    with socket.socket() as probe, suppress(OSError):
        # As servers do: a port with connections in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if preferred:
            probe.bind((HOST, preferred))
            return preferred
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in _GIVEN_PORTS:
            _GIVEN_PORTS.add(port)
            return port


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"


def _with_loopback(no_proxy: str | None) -> str:
    return ",".join(filter(None, [no_proxy, HOST, "localhost"]))
