"""Run `airflow standalone` (scheduler, DAG processor, triggerer and API server), and call its REST API."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import psutil  # type: ignore[import-untyped] # a dependency of Airflow, which ships no types

from dev.processes import in_sessions, kill
from dev.rest_api import AirflowApi, AirflowError, tail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from dev.sandbox import AirflowSandbox

# Seconds.
START_TIMEOUT = 180.0
_STOP_TIMEOUT = 20.0


class StandaloneAirflow(AirflowApi):
    """`airflow standalone` in a sandbox, as a context manager. DAGs are not paused at creation.

    .. code-block:: python

        with AirflowSandbox() as sandbox:
            sandbox.migrate()
            sandbox.add_dag(path)
            with StandaloneAirflow(sandbox) as airflow:
                run_id = airflow.trigger("my_dag")
                state = airflow.wait_for_run("my_dag", run_id)

    :param sandbox: provides AIRFLOW_HOME; Airflow creates the database if there is none
    :param port: port of the API server; None uses 8080, or a free port if 8080 is in use
    :param env: further environment variables
    """

    def __init__(
        self, sandbox: AirflowSandbox, *, port: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        # The executor starts this many processes, idle or not; the default of 32 is too many for a test machine.
        super().__init__(sandbox, port=port, env={"AIRFLOW__CORE__PARALLELISM": "8", **(env or {})})
        self.log = sandbox.home / "standalone.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._components: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Start Airflow and wait until all of its components are healthy.

        :raises AirflowError: if Airflow ends, or is not healthy within three minutes
        """
        try:
            self._process = self._start("standalone")
            self.wait_until("Airflow is healthy", self._is_healthy, START_TIMEOUT)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop Airflow and all processes that it has started."""
        self.stop()

    def kill_component(self, component: str) -> None:
        """Kill a component and all processes that it has started, as a machine failure does. It is not restarted.

        :param component: command of the component, such as ``triggerer``
        :raises AirflowError: if it is not running
        """
        found: dict[int, Any] = {}
        for process in self._members():
            with suppress(psutil.Error):
                if component in process.cmdline():
                    found |= {one.pid: one for one in (process, *process.children(recursive=True))}
        if not found:
            raise AirflowError(f"No {component} is running. {self.log_tail()}")
        kill(list(found.values()))

    def start_component(self, component: str) -> None:
        """Start a component; :meth:`stop` stops it with the others.

        :param component: command of the component, such as ``triggerer``
        """
        self._components.append(self._start(component))

    def log_tail(self) -> str:
        """Return the last lines of the output of Airflow's components."""
        return tail([self.log])

    def processes(self, part: str = "") -> dict[int, str]:
        """Return the command lines of Airflow's running processes by process id.

        :param part: only processes with this text in their command line, such as ``triggerer``
        """
        found = {}
        for process in self._members():
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if part in line:
                    found[int(process.pid)] = line
        return found

    def stop(self) -> None:
        """Stop Airflow and all processes that it has started: with SIGINT, then with SIGKILL. Idempotent."""
        process = self._process
        if process is None:
            return
        # Listed before the processes end: a program that a task has started in another session is found by its parent.
        members = self._members()
        try:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_TIMEOUT)
        finally:  # also if a second signal interrupts the wait
            kill(members, self._members)
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
                # The session identifies all processes that it starts, and Ctrl-C in a terminal does not reach them.
                start_new_session=True,
            )

    def _members(self) -> list[Any]:
        """Return the processes of Airflow's sessions, and their descendants in other sessions."""
        if self._process is None:
            return []
        return in_sessions(leader.pid for leader in (self._process, *self._components))

    def _gone(self) -> str:
        if self._process is None:
            return "Airflow is not running"
        status = self._process.poll()
        return "" if status is None else f"Airflow has ended with exit status {status}"
