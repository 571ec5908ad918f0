"""What all hooks of an event loop share: one look-up of each connection, and one client for each settings.

A triggerer runs a thousand triggers on one loop, each with a hook of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, ClassVar, Self
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from airflow_provider_ims.api.client import ImsClient
    from airflow_provider_ims.connection.settings import ImsSettings

log = logging.getLogger(__name__)

# Seconds for which a look-up serves other hooks: as long as the triggers of a triggerer take to start.
_LOOK_UP_TTL = 30.0


class ClientPool:
    """The clients of one event loop: one for each settings, closed when its last user releases it."""

    _pools: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, ClientPool]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._look_ups: dict[Hashable, tuple[float, asyncio.Task[ImsSettings]]] = {}
        self._clients: dict[ImsSettings, ImsClient] = {}
        self._users: Counter[ImsSettings] = Counter()
        self._failed_at: dict[Hashable, float] = {}

    @classmethod
    def of_running_loop(cls) -> Self:
        """Return the pool of the running event loop."""
        return cls._pools.setdefault(asyncio.get_running_loop(), cls())  # type: ignore[return-value]

    async def settings(
        self, name: Hashable, read: Callable[[], ImsSettings], *, since: float | None = None
    ) -> ImsSettings:
        """Return settings that another hook has just read; otherwise read them in a thread, once for all callers.

        :param name: what tells one look-up from another
        :param read: reads the settings
        :param since: time of the loop; settings that were read before are not used. None accepts what was read within
            the last half minute.
        :raises ImsConfigurationError: if the connection does not exist or is not valid
        """
        # Imported here: a DAG file may load this module. Not asyncio.to_thread: the triggerer of Airflow 3.0 and 3.1
        # asks its supervisor by async_to_sync, which finds the loop only in a thread that asgiref has started.
        from asgiref.sync import sync_to_async  # noqa: PLC0415

        loop = asyncio.get_running_loop()
        oldest = loop.time() - _LOOK_UP_TTL if since is None else since
        known = self._look_ups.get(name)
        if known is None or known[0] < oldest:
            known = loop.time(), loop.create_task(sync_to_async(read, thread_sensitive=False)())
            self._look_ups[name] = known
        try:
            # A caller that is cancelled meanwhile does not cancel the look-up of the others.
            return await asyncio.shield(known[1])
        except Exception:
            if self._look_ups.get(name) is known:
                del self._look_ups[name]
            raise

    async def refresh(self, name: Hashable, read: Callable[[], ImsSettings], *, max_age: float) -> ImsSettings | None:
        """Return settings that are not older than so many seconds; None if they cannot be read just now.

        Read once for all callers, and after a failure not again before ``max_age`` seconds have passed.

        :param name: what tells one look-up from another
        :param read: reads the settings
        :param max_age: in seconds
        """
        now = asyncio.get_running_loop().time()
        if now - self._failed_at.get(name, -max_age) < max_age:
            return None
        try:
            return await self.settings(name, read, since=now - max_age)
        except Exception as error:  # noqa: BLE001 - the caller has settings that still count
            if now - self._failed_at.get(name, -max_age) >= max_age:
                self._failed_at[name] = now
                log.warning(
                    "A connection could not be read again, its last settings stay in use: %s", type(error).__name__
                )
            return None

    def read_at(self, name: Hashable) -> float:
        """Return when settings were read last, as a time of the loop; 0 if they were not.

        :param name: what tells one look-up from another
        """
        known = self._look_ups.get(name)
        return 0.0 if known is None else known[0]

    def acquire(self, settings: ImsSettings) -> ImsClient:
        """Return the client of these settings; its module must be loaded already."""
        from airflow_provider_ims.api.client import ImsClient  # noqa: PLC0415 - loads aiohttp
        from airflow_provider_ims.api.credentials import shared_keys  # noqa: PLC0415 - loaded by the client

        if settings not in self._clients:
            self._clients[settings] = ImsClient(settings, key_cache=shared_keys)
        self._users[settings] += 1
        return self._clients[settings]

    async def release(self, client: ImsClient) -> None:
        """Release a client; the last user closes it."""
        settings = client.settings
        self._users[settings] -= 1
        if not self._users[settings]:
            del self._users[settings]
            if len(self._clients) == 1:
                self._look_ups.clear()
                self._failed_at.clear()
            await self._clients.pop(settings).aclose()
