"""Programs that ``supervisord`` keeps running: it starts them, stops them and restarts them when they end."""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from dev.processes import alive, freeze, in_sessions, kill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

# Seconds.
_START_TIMEOUT = 15.0
_STOP_TIMEOUT = 30.0
_POLL_INTERVAL = 0.05
# The orphans of its programs become children of supervisord: prctl(PR_SET_CHILD_SUBREAPER).
_ADOPTING = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
# supervisord makes each program the leader of a process group, and such a leader cannot become that of a session.
_IN_A_SESSION = """
import os, sys
os.setpgid(0, os.getpgid(os.getppid()))
os.setsid()
os.execv(sys.argv[1], sys.argv[1:])
"""
# Of several groups, supervisord ends with one in a second.
_GROUP = "all"
_AT_ONCE = (False,)
"""Supervisor's argument ``wait``."""
_STOPPED = 0
"""Supervisor's number of the state STOPPED."""


@dataclass(frozen=True)
class Program:
    """A program that is kept running, with its output in ``<name>.log``.

    :param command: path and arguments
    :param stop_signal: the signal that ends it orderly
    :param stop_timeout: seconds until it is killed
    :param has_session: whether it leads a session, as in a container. Linux shares the cores out between sessions
    :param user: the system user, None for that of the caller
    :param directory: the working directory, None for that of the logs
    """

    command: tuple[str, ...]
    stop_signal: str = "TERM"
    stop_timeout: int = 120
    has_session: bool = True
    user: str | None = None
    directory: Path | None = None


class Supervised:
    """Programs under ``supervisord``, as a context manager. None runs until :meth:`start`.

    :param programs: the programs by their names
    :param home: directory for configuration, socket and logs
    :param env: the environment of the programs
    """

    def __init__(self, programs: Mapping[str, Program], home: Path, env: Mapping[str, str]) -> None:
        self._programs = dict(programs)
        self._home = home
        self._env = dict(env)
        self._socket = home / "supervisord.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start ``supervisord``.

        :raises RuntimeError: if it does not start
        """
        configuration = self._home / "supervisord.conf"
        with configuration.open("w") as file:
            self._configuration().write(file)
        try:
            with self.log_of("supervisord").open("ab") as log:
                self._process = subprocess.Popen(
                    # If this process dies, supervisord stops everything.
                    [
                        *("setpriv", "--pdeathsig", "TERM"),
                        *(sys.executable, "-c", _ADOPTING),
                        *(sys.executable, "-m", "supervisor.supervisord", "-c", configuration),
                    ],
                    cwd=self._home,
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    # The session identifies its processes, and Ctrl-C in a terminal does not reach them.
                    start_new_session=True,
                )
            self._wait_for_socket(self._process)
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop all programs and ``supervisord``."""
        self.stop_all()

    @property
    def names(self) -> list[str]:
        """The names of the programs."""
        return list(self._programs)

    @property
    def logs(self) -> list[Path]:
        """The files with the output of ``supervisord`` and of each program."""
        return [self.log_of(name) for name in ("supervisord", *self._programs)]

    @property
    def is_running(self) -> bool:
        """Whether ``supervisord`` runs."""
        return self._process is not None and self._process.poll() is None

    def log_of(self, name: str) -> Path:
        """Return the file with the output of a program."""
        return self._home / f"{name}.log"

    def start(self, *names: str) -> None:
        """Start programs, and keep them running."""
        for name in names:
            self._call("startProcess", f"{_GROUP}:{name}", *_AT_ONCE)

    def stop(self, *names: str) -> None:
        """Ask programs to end, and do not restart them. :meth:`wait_until_stopped` waits until they have ended."""
        for name in names:
            self._call("stopProcess", f"{_GROUP}:{name}", *_AT_ONCE)

    def wait_until_stopped(self, *names: str) -> None:
        """Wait until programs have ended that were asked to.

        :raises RuntimeError: if they do not end
        """
        deadline = time.monotonic() + max(self._programs[name].stop_timeout for name in names) + _STOP_TIMEOUT
        while running := [name for name in names if self._info(name)["state"] != _STOPPED]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"These programs do not end: {', '.join(running)}")
            time.sleep(_POLL_INTERVAL)

    def kill(self, name: str) -> None:
        """Kill a program and everything that it has started, as a machine failure does. It is restarted.

        :raises RuntimeError: if it is not running
        """
        pid = self.pid(name)
        if pid is None:
            raise RuntimeError(f"{name} is not running")
        kill(freeze(pid))

    def terminate(self, name: str) -> None:
        """Send a program its stop signal. It is restarted when it has ended."""
        self._call("signalProcess", f"{_GROUP}:{name}", self._programs[name].stop_signal)

    def pid(self, name: str) -> int | None:
        """Return the process id of a program, None if it is not running."""
        return int(self._info(name)["pid"]) or None

    def starts(self, name: str) -> int:
        """Return how many times a program was started."""
        return self.log_of("supervisord").read_text().count(f"spawned: '{name}' with pid")

    def stop_all(self, kill_first: Iterable[str] = ()) -> None:
        """Stop everything: orderly for half a minute, then with SIGKILL. Idempotent.

        :param kill_first: programs that are killed, because they would take long
        """
        process = self._process
        if process is None:
            return
        leaders = [pid for name in self._programs if (pid := self._pid_if_known(name))]
        members = in_sessions([process.pid, *leaders])
        try:
            for name in kill_first:
                with suppress(OSError, RuntimeError, xmlrpc.client.Fault):
                    self.stop(name)
                    self.kill(name)
            if process.poll() is None:
                process.terminate()
                deadline = time.monotonic() + _STOP_TIMEOUT
                # A process that has another session is found by its parent only, while supervisord runs.
                while process.poll() is None and time.monotonic() < deadline:
                    members = alive([*members, *in_sessions([process.pid, *leaders])])
                    time.sleep(_POLL_INTERVAL)
        finally:  # also if a second signal interrupts the wait
            kill(members, lambda: in_sessions([process.pid, *leaders]))
            process.wait()
            self._process = None

    def _pid_if_known(self, name: str) -> int | None:
        try:
            return self.pid(name)
        except (OSError, xmlrpc.client.Fault):  # supervisord has ended
            return None

    def _configuration(self) -> configparser.RawConfigParser:
        parser = configparser.RawConfigParser()
        parser["unix_http_server"] = {"file": str(self._socket), "chmod": "0700"}
        parser["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        parser["supervisord"] = {
            "nodaemon": "true",
            "silent": "true",
            "logfile": str(self.log_of("supervisord")),
            "logfile_maxbytes": "0",
            "pidfile": str(self._home / "supervisord.pid"),
            "childlogdir": str(self._home),
            # Without it, supervisord warns if it runs as root.
            **({"user": "root"} if os.getuid() == 0 else {}),
        }
        parser[f"group:{_GROUP}"] = {"programs": ",".join(self._programs)}
        for name, program in self._programs.items():
            session = (sys.executable, "-c", _IN_A_SESSION) if program.has_session else ()
            parser[f"program:{name}"] = {
                "directory": str(program.directory or self._home),
                "command": shlex.join((*session, *program.command)).replace("%", "%%"),
                "autostart": "false",
                # Restarted for ever. If it ends within a second, the pause before the next start grows by a second.
                "autorestart": "true",
                "startretries": "1000",
                "stopsignal": program.stop_signal,
                "stopwaitsecs": str(program.stop_timeout),
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": str(self.log_of(name)),
                "stdout_logfile_maxbytes": "0",
                **({"user": program.user} if program.user else {}),
            }
        return parser

    def _wait_for_socket(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            with suppress(OSError):
                self._call("getState")
                return
            if process.poll() is not None or time.monotonic() > deadline:
                text = self.log_of("supervisord").read_text(errors="replace")
                raise RuntimeError(f"supervisord did not start:\n{text}")
            time.sleep(_POLL_INTERVAL)

    def _info(self, name: str) -> dict[str, Any]:
        info: dict[str, Any] = self._call("getProcessInfo", f"{_GROUP}:{name}")
        return info

    def _call(self, method: str, *args: object) -> Any:
        from supervisor.xmlrpc import SupervisorTransport  # noqa: PLC0415 - in the group "cluster" only

        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*args)
