"""What all who wait on an event loop share: a connection is looked up once, and its client has one session.

A triggerer runs a thousand triggers on one loop, each with a hook of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, ClassVar, Self
from weakref import WeakKeyDictionary

from airflow_provider_ims.api.alarms import Alarms

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from airflow_provider_ims.api.client import ImsClient
    from airflow_provider_ims.connection.settings import ImsSettings

# How long a look-up serves others, in seconds: as long as the triggers of a triggerer take to start.
_FRESH = 30.0


class SharedClients:
    """The clients of one event loop: one for each settings, closed when the last who took it gives it back."""

    _of_loops: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, SharedClients]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self.alarms = Alarms()
        """What those who wait sleep by."""
        self._look_ups: dict[Hashable, tuple[float, asyncio.Task[ImsSettings]]] = {}
        self._clients: dict[ImsSettings, ImsClient] = {}
        self._users: Counter[ImsSettings] = Counter()

    @classmethod
    def of_this_loop(cls) -> Self:
        """Return those of the running event loop."""
        return cls._of_loops.setdefault(asyncio.get_running_loop(), cls())  # type: ignore[return-value]

    async def look_up(
        self, name: Hashable, read: Callable[[], ImsSettings], *, since: float | None = None
    ) -> ImsSettings:
        """Return settings that somebody has just read; otherwise read them in a thread, once for all who ask.

        :param name: what tells one look-up from another
        :param read: reads the settings
        :param since: time of the loop; what was read before that is not good enough. None takes what is half a minute
            old.
        :raises ImsConfigurationError: if the connection does not exist or is not right
        """
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _FRESH if since is None else since
        known = self._look_ups.get(name)
        if known is None or known[0] < oldest:
            known = loop.time(), loop.create_task(asyncio.to_thread(read))
            self._look_ups[name] = known
        try:
            # Who is cancelled meanwhile leaves the look-up to the others.
            return await asyncio.shield(known[1])
        except Exception:
            if self._look_ups.get(name) is known:
                del self._look_ups[name]
            raise

    def take(self, settings: ImsSettings) -> ImsClient:
        """Return the client of these settings, whose room must be loaded already."""
        from airflow_provider_ims.api.client import ImsClient  # noqa: PLC0415 - loads aiohttp

        if settings not in self._clients:
            self._clients[settings] = ImsClient(settings)
        self._users[settings] += 1
        return self._clients[settings]

    async def give_back(self, client: ImsClient) -> None:
        """Give back a client; the last one to do so closes it."""
        settings = client.settings
        self._users[settings] -= 1
        if not self._users[settings]:
            del self._users[settings]
            if len(self._clients) == 1:
                self._look_ups.clear()
            await self._clients.pop(settings).aclose()
