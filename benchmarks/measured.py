"""Script of the fresh processes: ``measured.py imports MODULE ...`` or ``measured.py submit CANDIDATE``.

The last line of the output is the measurement, as JSON.

The measurement starts after ``import airflow.sdk``, which every Airflow process loads before it loads a provider.
This module imports at its top only what ``airflow.sdk`` loads too: the measurement would not include other modules.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MEDIA = "oss://bucket/film.mp4"

TIMED_MODULES = {
    "airflow_provider_ims.hooks.ims": "our hook",
    "airflow_provider_ims.api.client": "our client",
    "airflow.sdk.execution_time.supervisor": "Airflow's task supervisor",
    "aiohttp": "aiohttp",
    "requests": "requests",
    "jmespath": "jmespath",
    "alibabacloud_tea_openapi.utils": "the SDK's signer",
    "alibabacloud_tea_openapi.client": "the SDK's base client",
    "alibabacloud_credentials.client": "the SDK's credentials",
    "alibabacloud_ice20201109.client": "the SDK's typed client and models",
    "alibabacloud_ice20201109.models": "the SDK's typed client and models",
}
"""Modules whose import is timed, and the names of their rows in the report."""


class Stopwatch(AbstractContextManager["Stopwatch"]):
    """Measures a ``with`` block: CPU time (user and system, all threads), wall time and growth of resident memory."""

    def __enter__(self) -> Self:
        """Start."""
        gc.collect()
        self._rss = _rss()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.cpu = time.process_time() - self._cpu
        self.wall = time.perf_counter() - self._wall
        self.rss = _rss() - self._rss


class ImportTimer(MetaPathFinder):
    """Measures the CPU time of the imports of :data:`TIMED_MODULES`, each without the timed imports inside it.

    A shared import counts for the module that imports it first: if aiohttp is already loaded, it adds nothing to the
    import of the SDK's signer.
    """

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self._inner = [0.0]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a timed module, and wrap its execution with a timer."""
        row = TIMED_MODULES.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if row else None
        if row is None or spec is None or spec.loader is None:
            return None
        spec.loader.exec_module = self._timed(row, spec.loader.exec_module)  # type: ignore[assignment, method-assign]
        return spec

    def _timed(self, row: str, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def timed(module: ModuleType) -> None:
            self._inner.append(0.0)
            start = time.process_time()
            try:
                execute(module)
            finally:
                spent = time.process_time() - start
                self.cpu[row] = self.cpu.get(row, 0.0) + spent - self._inner.pop()
                self._inner[-1] += spent

        return timed


def imports(modules: Sequence[str]) -> dict[str, Any]:
    """Import modules and return the measurement."""
    before = set(sys.modules)
    with Stopwatch() as watch:
        for module in modules:
            import_module(module)
    return {
        "cpu": watch.cpu,
        "wall": watch.wall,
        "rss": watch.rss,
        "modules": sorted(set(sys.modules) - before),
    }


def submit(candidate: str) -> dict[str, Any]:
    """Submit one job as the first request of the process, and return the measurement."""
    connection = json.loads(os.environ["AIRFLOW_CONN_IMS_DEFAULT"])
    before = len(sys.modules)
    timer = ImportTimer()
    sys.meta_path.insert(0, timer)
    with Stopwatch() as watch:
        job_id = CANDIDATES[candidate](connection)
    return {
        "job_id": job_id,
        "cpu": watch.cpu,
        "wall": watch.wall,
        "rss": watch.rss,
        "modules": len(sys.modules) - before,
        "imports": timer.cpu,
        "rest": watch.cpu - sum(timer.cpu.values()),
    }


def ours(_connection: dict[str, Any]) -> str:
    """Submit with the hook of this provider, which reads the Airflow connection itself."""
    from airflow_provider_ims.hooks.ims import ImsHook  # noqa: PLC0415 - measured

    return ImsHook().submit_copyright_extract_job(MEDIA)


def typed_sync(connection: dict[str, Any]) -> str:
    """Submit with the synchronous method of the official typed client, as its documentation does."""
    client, request = _typed(connection)
    return str(client.submit_copyright_extract_job(request).body.data.job_id)


def typed_async(connection: dict[str, Any]) -> str:
    """Submit with the asynchronous method of the official typed client."""
    import asyncio  # noqa: PLC0415 - measured

    client, request = _typed(connection)
    return str(asyncio.run(client.submit_copyright_extract_job_async(request)).body.data.job_id)


CANDIDATES: dict[str, Callable[[dict[str, Any]], str]] = {
    "ours": ours,
    "typed SDK, sync": typed_sync,
    "typed SDK, async": typed_async,
}


def _typed(connection: dict[str, Any]) -> tuple[Any, Any]:
    """Return the typed client and the request."""
    from alibabacloud_ice20201109 import models  # noqa: PLC0415 - measured
    from alibabacloud_ice20201109.client import Client  # noqa: PLC0415
    from alibabacloud_tea_openapi.utils_models import Config  # noqa: PLC0415

    scheme, _, endpoint = connection["host"].partition("://")
    keys: dict[str, Any] = {"access_key_id": connection["login"], "access_key_secret": connection["password"]}
    if role := connection["extra"].get("role_arn"):
        keys = {"credential": _credentials_client(keys, role, endpoint)}
    client = Client(
        Config(**keys, region_id=connection["extra"]["region_id"], endpoint=endpoint, protocol=scheme),
    )
    media = models.SubmitCopyrightExtractJobRequestInput(media=MEDIA, type="OSS")
    return client, models.SubmitCopyrightExtractJobRequest(input=media)


def _credentials_client(keys: dict[str, str], role: str, sts_endpoint: str) -> Any:
    """Return a client of the official credentials library, as the documentation of the typed SDK does."""
    from alibabacloud_credentials.client import Client  # noqa: PLC0415 - measured
    from alibabacloud_credentials.models import Config  # noqa: PLC0415

    config = Config(
        type="ram_role_arn", **keys, role_arn=role, role_session_name="benchmark", sts_endpoint=sts_endpoint
    )
    return Client(config)


def _rss() -> int:
    """Return the resident memory of this process in bytes; Airflow has already loaded psutil."""
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415

    return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Load ``airflow.sdk``, measure, and print the measurement."""
    import_module("airflow.sdk")
    kind, *arguments = sys.argv[1:]
    sample = imports(arguments) if kind == "imports" else submit(*arguments)
    print(json.dumps(sample))


if __name__ == "__main__":
    main()
