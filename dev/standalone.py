"""`airflow standalone` as a real process, with scheduler, DAG processor, triggerer and API server; and its API."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from dev.sandbox import AirflowSandbox

T = TypeVar("T")

HOST = "127.0.0.1"
USUAL_PORT = 8080
FINAL_STATES = frozenset({"success", "failed"})

# Seconds.
START_TIMEOUT = 180.0
PARSE_TIMEOUT = 90.0
RUN_TIMEOUT = 180.0
_STOP_TIMEOUT = 20.0
_KILL_TIMEOUT = 10.0
_CALL_TIMEOUT = 30.0
# Where many tasks start at once on few cores, SQLite stays locked for longer than a call may take.
_COMMAND_TIMEOUT = 180.0
_POLL = 0.25

_COMPONENTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")
_PASSWORDS = "simple_auth_manager_passwords.json.generated"
_TAIL = 40


class StandaloneError(RuntimeError):
    """Airflow did not start, or did not do what it was asked; the text ends with the tail of its log."""


class ApiError(RuntimeError):
    """The REST API refused.

    :param status: HTTP status
    :param text: what was asked and what came back
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class StandaloneAirflow:
    """`airflow standalone` in a sandbox, for as long as the ``with`` block runs. DAGs are not paused at creation.

    .. code-block:: python

        with AirflowSandbox() as sandbox:
            sandbox.migrate()
            sandbox.add_dag(path)
            with StandaloneAirflow(sandbox) as airflow:
                run_id = airflow.trigger("my_dag")
                state = airflow.wait_for_run("my_dag", run_id)

    :param sandbox: its home; Airflow creates the database where there is none
    :param port: of the API server; None takes 8080, or a free one where that is taken
    :param env: further environment variables
    """

    username = "admin"

    def __init__(
        self, sandbox: AirflowSandbox, *, port: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.sandbox = sandbox
        self.port = port or free_port(USUAL_PORT)
        self.url = f"http://{HOST}:{self.port}"
        self.log = sandbox.home / "standalone.log"
        self.env = {
            **sandbox.env,
            # Standalone starts its components as "airflow", which is on PATH only in an activated environment.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), sandbox.env.get("PATH", os.defpath)]),
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            # The executor starts this many processes, idle or not; the usual 32 are a crowd.
            "AIRFLOW__CORE__PARALLELISM": "8",
            # Long enough for SHA-512: the generated one makes Airflow warn at each request.
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # Their usual ports would be another Airflow's on this machine.
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            # Tasks call the API server: a proxy of the caller's environment cannot reach our loopback.
            **{name: _with_loopback(sandbox.env.get(name)) for name in ("NO_PROXY", "no_proxy")},
            "PYTHONUNBUFFERED": "1",
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._components: list[subprocess.Popen[bytes]] = []
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __enter__(self) -> Self:
        """Start Airflow and wait until all of its components are healthy.

        :raises StandaloneError: if it ends, or is not healthy within three minutes
        """
        airflow = version("apache-airflow")
        if int(airflow.split(".")[0]) < 3:  # noqa: PLR2004 - the number of a major version
            raise StandaloneError(f"This needs Airflow 3, whose REST API and login it uses; here is Airflow {airflow}.")
        try:
            self._process = self._start("standalone")
            self.wait_until("Airflow is healthy", self._healthy, START_TIMEOUT)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop Airflow and all that it started, whatever happened."""
        self.stop()

    @cached_property
    def password(self) -> str:
        """The password that Airflow made up for :attr:`username`."""
        passwords: dict[str, str] = json.loads((self.sandbox.home / _PASSWORDS).read_text())
        return passwords[self.username]

    @cached_property
    def token(self) -> str:
        """A token of the REST API, for the header ``Authorization: Bearer ...``."""
        login = {"username": self.username, "password": self.password}
        token: str = self._call("POST", "/auth/token", login)["access_token"]
        return token

    def request(self, method: str, path: str, payload: object = None) -> Any:
        """Call the REST API and return what it answered.

        :param method: HTTP method
        :param path: below ``/api/v2``, such as ``/dags``
        :param payload: sent as JSON, None for no body
        :raises ApiError: if it refused
        """
        return self._call(method, f"/api/v2{path}", payload, {"Authorization": f"Bearer {self.token}"})

    def tell(self, method: str, path: str, payload: object) -> None:
        """Give the REST API a command, and again where SQLite was locked, or no answer came back.

        :param method: HTTP method
        :param path: below ``/api/v2``
        :param payload: sent as JSON; where it creates something, with an id
        :raises ApiError: if it refused
        """
        tries = count(1)

        def done() -> bool:
            first = next(tries) == 1
            try:
                self.request(method, path, payload)
            except ApiError as error:
                # It exists: the try before has done it, and its answer was lost.
                if first or error.status != HTTPStatus.CONFLICT:
                    raise
            return True

        self.wait_until(f"{method} {path} is done", done, _COMMAND_TIMEOUT)

    def wait_for_dag(self, dag_id: str, timeout: float = PARSE_TIMEOUT) -> None:
        """JobWait until a DAG is parsed.

        :param dag_id: its id
        :param timeout: in seconds
        :raises StandaloneError: if it is not within the timeout; with what failed to import
        """
        try:
            self.wait_until(f"DAG {dag_id} is parsed", lambda: self._known(dag_id), timeout)
        except StandaloneError as error:
            broken = self.request("GET", "/importErrors")["import_errors"]
            traces = "".join(f"\n{trouble['filename']}:\n{trouble['stack_trace']}" for trouble in broken)
            raise StandaloneError(f"{error}{traces}") from None

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a DAG run and return its id; the DAG may still wait to be parsed.

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
        """JobWait until a DAG run has ended, and return ``success`` or ``failed``.

        :param dag_id: the DAG's id
        :param run_id: the run's id
        :param timeout: in seconds
        :raises StandaloneError: if it has not ended within the timeout
        """

        def ended() -> str | None:
            state: str = self.request("GET", _run_path(dag_id, run_id))["state"]
            return state if state in FINAL_STATES else None

        return self.wait_until(f"run {run_id} of DAG {dag_id} has ended", ended, timeout)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, as the REST API describes them."""
        found: list[dict[str, Any]] = self.request("GET", f"{_run_path(dag_id, run_id)}/taskInstances")[
            "task_instances"
        ]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return a value that a task instance has pushed.

        :raises ApiError: if there is none, with status 404
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
        :param try_number: which of its attempts
        :param map_index: which of its mapped instances
        """
        task = _task_path(dag_id, run_id, task_id)
        path = f"{task}/logs/{try_number}?full_content=true&map_index={map_index}"
        lines: list[dict[str, Any]] = self.request("GET", path)["content"]
        return lines

    def mark(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Mark a task, as the buttons of the UI do.

        :param dag_id: the DAG's id
        :param run_id: the run's id
        :param task_id: the task's id
        :param state: ``failed`` or ``success``
        """
        self.tell("PATCH", _task_path(dag_id, run_id, task_id), {"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task, whatever its state, so that it runs again.

        :param dag_id: the DAG's id
        :param run_id: the run's id
        :param task_id: the task's id
        """
        choice = {"dag_run_id": run_id, "task_ids": [task_id], "only_failed": False, "dry_run": False}
        self.tell("POST", f"/dags/{quote(dag_id)}/clearTaskInstances", choice)

    def kill_component(self, component: str) -> None:
        """Kill a component and all that it has started, as a machine that goes down does. Nothing starts it again.

        :param component: its command, such as ``triggerer``
        :raises StandaloneError: if it does not run
        """
        found: dict[int, Any] = {}
        for process in self._members():
            with suppress(psutil.Error):
                if component in process.cmdline():
                    found |= {one.pid: one for one in (process, *process.children(recursive=True))}
        if not found:
            raise StandaloneError(f"There is no {component} to kill. Airflow's log ends:\n{self.log_tail()}")
        self._kill(list(found.values()))

    def start_component(self, component: str) -> None:
        """Start a component anew; it ends with the others.

        :param component: its command, such as ``triggerer``
        """
        self._components.append(self._start(component))

    def wait_until(self, what: str, probe: Callable[[], T | None], timeout: float) -> T:
        """Ask again and again until the answer is true, and return it.

        :param what: what is waited for, for the error
        :param probe: what is asked
        :param timeout: in seconds
        :raises StandaloneError: if it is not true within the timeout, or Airflow has ended
        """
        deadline = time.monotonic() + timeout
        while True:
            trouble = ""
            try:
                if answer := probe():
                    return answer
            except ApiError as error:
                # Under load SQLite is locked now and then, which is no answer to the question.
                if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise
                trouble = f" ({error})"
            except OSError as error:  # the API server does not listen yet
                trouble = f" ({error})"
            if self._process is None or (status := self._process.poll()) is not None:
                how = "does not run" if self._process is None else f"has ended with {status}"
                raise StandaloneError(f"Waited until {what}, but Airflow {how}. Its log ends:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise StandaloneError(
                    f"Not so within {timeout:.0f} s: {what}{trouble}. Airflow's log ends:\n{self.log_tail()}"
                )
            time.sleep(_POLL)

    def log_tail(self, lines: int = _TAIL) -> str:
        """Return the last lines of what Airflow's components have printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(nothing)"

    def processes(self, part: str = "") -> dict[int, str]:
        """Return the processes that Airflow consists of now, as command line by process id.

        :param part: only those with this in their command line, such as ``triggerer``
        """
        found = {}
        for process in self._members():
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if part in line:
                    found[int(process.pid)] = line
        return found

    def stop(self) -> None:
        """Stop Airflow and all that it started: politely, then by force. Does nothing where nothing runs."""
        process = self._process
        if process is None:
            return
        # Listed before the end: a program that a task started in a session of its own is found by its parent only.
        members = self._members()
        try:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_TIMEOUT)
        finally:  # also for the impatient, who interrupt this
            self._kill(members, self._members)
            for ended in (process, *self._components):
                ended.wait()
            self._process = None
            self._components.clear()

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", command],
                env=self.env,
                cwd=self.sandbox.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # By its session we find all that it starts, and a terminal's Ctrl-C reaches us alone.
                start_new_session=True,
            )

    def _kill(self, members: list[Any], newcomers: Callable[[], list[Any]] = list) -> None:
        deadline = time.monotonic() + _KILL_TIMEOUT
        while members := _alive([*members, *newcomers()]):
            if time.monotonic() > deadline:
                raise StandaloneError(f"These processes do not end: {sorted(member.pid for member in members)}")
            for member in members:
                with suppress(psutil.Error):
                    member.kill()
            psutil.wait_procs(members, timeout=_POLL)

    def _members(self) -> list[Any]:
        """Return the processes of Airflow's sessions, and their descendants in sessions of their own."""
        if self._process is None:
            return []
        sessions = {leader.pid for leader in (self._process, *self._components)}
        found: dict[int, Any] = {}
        parents: dict[int, tuple[int, Any]] = {}
        for process in psutil.process_iter():
            # Gone in the meantime, or not ours to look at.
            with suppress(psutil.Error, OSError):
                parents[process.pid] = (process.ppid(), process)
                if os.getsid(process.pid) in sessions:
                    found[process.pid] = process
        while more := {pid: child for pid, (parent, child) in parents.items() if parent in found and pid not in found}:
            found |= more
        return _alive(found.values())

    def _healthy(self) -> bool:
        health = self._call("GET", "/api/v2/monitor/health")
        return all((health.get(component) or {}).get("status") == "healthy" for component in _COMPONENTS)

    def _known(self, dag_id: str) -> bool:
        try:
            self.request("GET", f"/dags/{quote(dag_id)}")
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def _call(self, method: str, path: str, payload: object = None, headers: Mapping[str, str] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own child's address
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


def free_port(preferred: int = 0) -> int:
    """Return a port of the loopback interface that nobody listens on: the preferred one, if it can be."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            # As servers do: a port whose last connections are fading away counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise StandaloneError("There is no free port.")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"


def _with_loopback(no_proxy: str | None) -> str:
    return ",".join(filter(None, [no_proxy, HOST, "localhost"]))


def _alive(processes: Any) -> list[Any]:
    found = {}
    for process in processes:
        # A zombie has ended; who reaps it is not our affair.
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
    return list(found.values())
