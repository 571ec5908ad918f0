"""`make cluster`: run Airflow as in production, with the provider, the example DAGs and the emulator.

PostgreSQL, Redis, CeleryExecutor with two workers, two triggerers, scheduler, DAG processor and API server, as
processes on the loopback interface. ``supervisord`` restarts each of them, as the restart policy of a production system
does.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dev.console import echo
from dev.rest_api import HOST, AirflowApi, AirflowError, free_port, tail
from dev.supervised import Program, Supervised
from dev.ui import examples_on, main, serve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

    from airflow_provider_ims.emulator.process import EmulatorProcess
    from dev.sandbox import AirflowSandbox

START_TIMEOUT = 600.0
"""Seconds. Seven components start at once; without other load, they take half a minute on two cores."""

WORKERS = ("worker-1", "worker-2")
TRIGGERERS = ("triggerer-1", "triggerer-2")
COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler",),
    "dag-processor": ("dag-processor",),
    # All components have one directory for logs, so nothing has to serve them.
    **dict.fromkeys(TRIGGERERS, ("triggerer", "--skip-serve-logs")),
    **{name: ("celery", "worker", "--celery-hostname", name, "--skip-serve-logs") for name in WORKERS},
}
"""The components of Airflow, with the arguments of the command ``airflow``."""

_POSTGRESQL = Path("/usr/lib/postgresql")
"""Where Debian's packages have the programs of PostgreSQL, by version."""
_POSTGRESQL_USER = "postgres"
"""The system user of Debian's package: PostgreSQL refuses to run as root."""
_DATABASE = "airflow"


class Cluster(AirflowApi):
    """Airflow with PostgreSQL, Redis, two Celery workers and two triggerers, as a context manager.

    :param sandbox: provides AIRFLOW_HOME
    :param port: port of the API server; None uses 8080, or a free port if 8080 is in use
    :param env: further environment variables
    """

    def __init__(
        self, sandbox: AirflowSandbox, *, port: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._database_port, self._redis_port = free_port(), free_port()
        self._password = secrets.token_hex(16)
        database = f"{_DATABASE}:{self._password}@{HOST}:{self._database_port}/{_DATABASE}"
        settings = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
            "AIRFLOW__CELERY__BROKER_URL": f"redis://:{self._password}@{HOST}:{self._redis_port}/0",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "8",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{self.username}:admin",
            # Secrets that all components share.
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            # What a killed process leaves behind is deleted with the sandbox.
            "TMPDIR": tempfile.mkdtemp(dir=sandbox.home),
        }
        # These are for SQLite: PostgreSQL's driver refuses them.
        sandbox.env.pop("AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS", None)
        super().__init__(sandbox, port=port, env={**settings, **(env or {})})
        # Commands in the sandbox use the same database.
        sandbox.env.update(self.env)
        self._stack = ExitStack()
        self.processes: Supervised

    def __enter__(self) -> Self:
        """Start everything, and wait until it is healthy.

        :raises AirflowError: if PostgreSQL or Redis is not installed, or something is not healthy in time
        """
        redis = shutil.which("redis-server")
        # The package of the client has a directory there, too.
        servers = sorted(_POSTGRESQL.glob("*/bin/postgres"), key=lambda path: int(path.parts[-3].split(".")[0]))
        if redis is None or not servers:
            raise AirflowError("The cluster needs PostgreSQL and Redis: apt-get install postgresql redis-server")
        with ExitStack() as stack:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airflow-ims-postgresql-")))
            programs = {
                "postgresql": self._postgresql(servers[-1].parent, data),
                "redis": self._redis(redis),
                **{
                    name: Program((sys.executable, "-m", "airflow", *arguments))
                    for name, arguments in COMPONENTS.items()
                },
            }
            self.processes = stack.enter_context(Supervised(programs, self.sandbox.home, self.env))
            # They would wait for tasks and for each other, and all is deleted anyway.
            stack.callback(self.processes.stop_all, kill_first=COMPONENTS)
            self.processes.start("postgresql", "redis")
            self.wait_until("Redis listens", lambda: _listens(self._redis_port), START_TIMEOUT)
            self.wait_until("PostgreSQL listens", lambda: _listens(self._database_port), START_TIMEOUT)
            self.sql(f"CREATE DATABASE {_DATABASE}", database="postgres")
            self.sandbox.airflow("db", "migrate")  # in PostgreSQL
            self.processes.start(*COMPONENTS)
            self.wait_until_healthy()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop everything that was started, and delete the database."""
        self._stack.close()

    def wait_until_healthy(self) -> None:
        """Wait until all components are healthy: both workers and both triggerers, too."""
        self.wait_until("Airflow is healthy", self._is_healthy, START_TIMEOUT)
        self.wait_until("two triggerers run", self._has_triggerers, START_TIMEOUT)
        for name in WORKERS:
            self.wait_until(f"{name} is ready", lambda name=name: self._is_ready(name), START_TIMEOUT)  # type: ignore[misc]

    def sql(self, statement: str, *values: object, database: str = _DATABASE) -> list[tuple[Any, ...]]:
        """Run a statement in a database, Airflow's by default, and return its rows."""
        import psycopg2  # noqa: PLC0415 - in the group "cluster" only

        address = {"host": HOST, "port": self._database_port, "user": _DATABASE, "password": self._password}
        with closing(psycopg2.connect(dbname=database, **address)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []

    def log_tail(self) -> str:
        """Return the last lines of the output of all processes."""
        return tail(self.processes.logs, lines=8)

    def _postgresql(self, programs: Path, directory: Path) -> Program:
        user = _POSTGRESQL_USER if os.getuid() == 0 else None
        data, password = directory / "data", directory / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        if user is not None:
            for path in (directory, password):
                shutil.chown(path, user, user)
        # fmt: off
        create: list[str | Path] = [
            programs / "initdb", "--pgdata", data, "--username", _DATABASE, "--pwfile", password,
            "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync",
        ]
        # fmt: on
        identity: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
        created = subprocess.run(create, cwd=directory, capture_output=True, text=True, check=False, **identity)
        if created.returncode:
            raise AirflowError(f"initdb has failed:\n{created.stdout}{created.stderr}")
        settings = {
            "listen_addresses": HOST,
            "port": self._database_port,
            "unix_socket_directories": "",
            "max_connections": 300,
            "fsync": "off",  # enough for the death of a process
        }
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        # SIGINT is the fast shutdown: it does not wait for clients.
        command = (str(programs / "postgres"), "-D", str(data), *arguments)
        return Program(command, stop_signal="INT", has_session=user is None, user=user, directory=data)

    def _redis(self, program: str) -> Program:
        configuration = self.sandbox.home / "redis.conf"
        configuration.write_text(
            f'bind {HOST}\nport {self._redis_port}\nrequirepass {self._password}\ndir "{self.sandbox.home}"\nsave ""\n'
        )
        return Program((program, str(configuration)))

    def _has_triggerers(self) -> bool:
        path = "/jobs?job_type=TriggererJob&is_alive=true"
        return len(self.request("GET", path)["jobs"]) >= len(TRIGGERERS)

    def _is_ready(self, name: str) -> bool:
        # Once for each start.
        log = self.processes.log_of(name).read_text(errors="replace")
        return log.count(f"celery@{name} ready") >= self.processes.starts(name)

    def _gone(self) -> str:
        return "" if self.processes.is_running else "supervisord has ended"


def _listens(port: int) -> bool:
    with socket.create_connection((HOST, port)):
        return True


def cluster() -> None:
    """Serve the cluster until the process is interrupted or ``supervisord`` ends."""
    started = time.monotonic()

    def create(_emulator: EmulatorProcess, sandbox: AirflowSandbox) -> Cluster:
        airflow = Cluster(sandbox)
        echo(f"Starting PostgreSQL, Redis and {len(COMPONENTS)} components of Airflow (a minute or so) ...")
        return airflow

    with examples_on(create) as (airflow, emulator):
        serve(airflow, emulator, started, "\n".join(_lines(airflow)))
    echo("All is stopped and removed.")


def _lines(airflow: Cluster) -> Iterator[str]:
    yield f"Processes (each is restarted when it ends; logs: {airflow.sandbox.home}/<name>.log)"
    for name in airflow.processes.names:
        yield f"          {name:14} pid {airflow.processes.pid(name)}"


if __name__ == "__main__":
    main(cluster)
