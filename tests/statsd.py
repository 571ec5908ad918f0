"""A StatsD receiver: a UDP socket, as the server that Airflow sends its metrics to."""

from __future__ import annotations

import importlib
import re
import socket
import threading
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow.providers.common.compat.sdk import Stats
from packaging.version import Version
from statsd import StatsClient  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from types import TracebackType

# name,tag=value,tag=value:1|c
_LINE = re.compile(r"airflow\.(?P<name>ims\.[^,:]+)(?P<tags>(?:,[^,:=]+=[^,:=]+)*):(?P<value>[-+.\d]+)\|(?P<kind>\w+)")
_END = b"end"
_TIMEOUT = 10.0


@dataclass(frozen=True)
class Sample:
    """One value of a metric of this provider.

    :param name: name without the prefix
    :param tags: values by name
    :param value: the value; times are in milliseconds
    :param kind: ``c`` (counter), ``ms`` (timer) or ``g`` (gauge)
    """

    name: str
    tags: dict[str, str]
    value: float
    kind: str


class StatsdReceiver:
    """Receives what is sent to a port of this machine, as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._packets: list[bytes] = []
        self._drained = threading.Event()
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(_TIMEOUT)
        self._socket.close()

    @property
    def env(self) -> dict[str, str]:
        """The settings that have Airflow send its metrics here, with their tags."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self._socket.getsockname()[1]),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }

    def lines(self) -> list[str]:
        """Return what was sent until now about this provider, in its order, one line for each value."""
        self._drained.clear()
        self._socket.sendto(_END, self._socket.getsockname())
        assert self._drained.wait(_TIMEOUT)
        lines = [line for packet in self._packets for line in packet.decode().splitlines()]
        return [line for line in lines if line.startswith("airflow.ims")]

    def samples(self, name: str | None = None) -> list[Sample]:
        """Return the values that were sent until now, in their order.

        :param name: name of a metric; None returns those of all
        """
        found = []
        for line in self.lines():
            match = _LINE.fullmatch(line)
            assert match, line
            tags = dict(tag.split("=") for tag in match["tags"].split(",")[1:])
            found.append(Sample(match["name"], tags, float(match["value"]), match["kind"]))
        return [sample for sample in found if name in (None, sample.name)]

    def total(self, name: str, **tags: str) -> float:
        """Return the sum of the values of a metric that have these tags."""
        return sum(sample.value for sample in self.samples(name) if tags.items() <= sample.tags.items())

    def _receive(self) -> None:
        while packet := self._socket.recv(65535):
            if packet == _END:
                self._drained.set()
            else:
                self._packets.append(packet)


class ClosableClient(StatsClient):  # type: ignore[misc] # statsd has no types
    """A client that tests can close; Airflow leaves its socket open."""

    _all: ClassVar[list[ClosableClient]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._all.append(self)

    @classmethod
    def close_all(cls) -> None:
        """Close the sockets of all clients."""
        while cls._all:
            cls._all.pop().close()


def configure_stats() -> None:
    """Configure the stats interface of this process from the environment, as Airflow does when a worker starts."""
    release = Version(version("apache-airflow")).release
    stats: Any = Stats
    if release < (3, 2):
        # Once for each process, when the module is loaded.
        kind: Any = type(Stats)
        del kind.factory
        kind.__init__(Stats)
        stats.instance = None
        return
    utils: Any = importlib.import_module("airflow.sdk.observability.metrics.stats_utils")
    if release < (3, 3):
        stats.initialize(factory=utils.get_stats_factory(Stats))
    else:
        stats.initialize(factory=utils.get_stats_factory(), export_legacy_names=True)
