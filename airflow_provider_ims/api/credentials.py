"""The current keys of a connection: fetched once for all calls of a process, and again before they expire."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import os
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from airflow_provider_ims.api.recent_keys import recent_keys, remember
from airflow_provider_ims.connection.access_key import AccessKey
from airflow_provider_ims.exceptions import ImsApiError, ImsError, from_primitives, to_primitives

if TYPE_CHECKING:
    from airflow_provider_ims.api.fetch import Exchange, FetchedKey, KeyFetcher
    from airflow_provider_ims.connection.credentials import Credentials

log = logging.getLogger(__name__)

# Keys are fetched again when this part of their lifetime is left, and no more than so many seconds of it.
_MARGIN = 0.25
_LONGEST_MARGIN = 15 * 60.0
# Seconds between two attempts: while the old keys are still valid, and if there are none.
_PAUSE = 30.0
_SHORT_PAUSE = 2.0
_MOST_SHARED = 64
"""For how many credentials a process keeps keys. With more, it forgets the keys that were fetched first."""


class _HeldKey(NamedTuple):
    """Fetched keys, and their times by :func:`time.monotonic`. A dataclass would take half a millisecond to import.

    :param fetched: the keys
    :param expires: when they expire
    :param due: when the next ones are to be fetched
    """

    fetched: FetchedKey
    expires: float = math.inf
    due: float = math.inf

    @classmethod
    def of(cls, fetched: FetchedKey) -> Self:
        """Return keys that have just come."""
        if fetched.expires_at is None:
            return cls(fetched)
        lifetime = fetched.expires_at - time.time()
        expires = time.monotonic() + lifetime
        return cls(fetched, expires, expires - min(_MARGIN * lifetime, _LONGEST_MARGIN))


class KeyCache:
    """The keys that were fetched last for each credentials, for all event loops and threads.

    Each synchronous call runs on an event loop of its own: without this, each would fetch keys. Calls that start
    together in several threads may each fetch keys; the last ones are kept.

    Keys are found by what the connection says of them: after a change of the connection, others are fetched. Keys
    without an expiry are not kept: they come from files, which are read again.
    """

    def __init__(self) -> None:
        # No lock: a task's signal handler may interrupt the thread that holds it, and then make a call itself. Each
        # step is one operation of a dict, and the worst that can happen between two of them is one more fetch.
        self._held: dict[Credentials, _HeldKey] = {}

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Forget all keys."""
        self._held.clear()

    def find(self, credentials: Credentials) -> _HeldKey | None:
        """Return the keys that were fetched last; None if there are none, or they have expired."""
        held = self._held.get(credentials)
        return None if held is None or time.monotonic() >= held.expires else held

    def put(self, credentials: Credentials, held: _HeldKey) -> None:
        """Keep keys that were fetched."""
        if held.expires == math.inf:
            return
        self._held.pop(credentials, None)
        self._held[credentials] = held
        for oldest in list(self._held)[:-_MOST_SHARED]:
            self._held.pop(oldest, None)

    def withdraw(self, credentials: Credentials, key: AccessKey) -> None:
        """Forget keys that the service refused, unless others have replaced them."""
        held = self._held.get(credentials)
        if held is not None and held.fetched.key == key:
            self._held.pop(credentials, None)


shared_keys = KeyCache()
"""The keys of this process. A forked process fetches its own, which its own supervisor masks in its log."""
os.register_at_fork(after_in_child=shared_keys.clear)


class KeySource:
    """The current keys of one connection. Belongs to one event loop.

    The times of keys are counted from when they came, by a clock that nobody sets.

    :param credentials: where the keys come from
    :param exchange: sends the requests for keys
    :param cache: keys that other sources have fetched, and to which those of this one are added; None fetches its own
    """

    def __init__(self, credentials: Credentials, exchange: Exchange, *, cache: KeyCache | None = None) -> None:
        self._credentials = credentials
        self._exchange = exchange
        self._cache = KeyCache() if cache is None else cache
        self._fetcher: KeyFetcher | None = None
        self._refresh: asyncio.Task[FetchedKey] | None = None
        self._failure: ImsError | None = None
        self._next_try = -math.inf
        self._refused_at = -math.inf
        self._given = _given_keys(credentials)
        self._known = (*self._given, *recent_keys(credentials))
        self._held: _HeldKey | None = None
        self._was_refused = False
        self._waits_for_refresh = False

    @property
    def is_refreshable(self) -> bool:
        """Whether other keys may be had if the service refuses these."""
        return not isinstance(self._credentials, AccessKey)

    @property
    def fetched(self) -> FetchedKey | None:
        """The current temporary keys; None if there are none."""
        return None if self._held is None else self._held.fetched

    @property
    def known(self) -> tuple[AccessKey, ...]:
        """All keys whose secrets must not appear in a text: the current ones, and those before. Changes with them.

        Those before are also those of other clients of this process with the same credentials.
        """
        return self._known

    async def current(self) -> AccessKey:
        """Return keys that are valid now.

        Shortly before they expire, the next ones are fetched while calls still use these; a failure is a warning then.

        :raises ImsError: if there are no valid keys and none can be had
        """
        if isinstance(self._credentials, AccessKey):
            return self._credentials
        now = time.monotonic()
        if self._held is None or now >= self._held.due:
            self._adopt(now)
        held = self._held
        if held is not None and now < held.expires:
            if now >= max(held.due, self._next_try):
                refresh = self._start_refresh()
                if self._waits_for_refresh:
                    await asyncio.wait([refresh])
                    held = self._held or held
            return held.fetched.key
        if self._failure is not None and now < self._next_try:
            # A copy: each caller may add advice of its own.
            raise from_primitives(to_primitives(self._failure))
        try:
            # A caller that is cancelled meanwhile does not cancel the refresh of the others.
            return (await asyncio.shield(self._start_refresh())).key
        except ImsError as error:
            failure = from_primitives(to_primitives(error))
        raise failure

    def refuse(self, key: AccessKey, code: str | None) -> bool:
        """Note that the service refused a request, and return whether the next call has other keys.

        It has others if these count as expired. It has not if the keys that were fetched because of a refusal are
        refused too: not each call fetches keys then. Keys that were refused for whatever reason are not handed on.

        :param key: the keys that signed the request
        :param code: the service's error code
        """
        if not self.is_refreshable:
            return False
        from airflow_provider_ims.api.refusal import has_expired, is_about_keys  # noqa: PLC0415 - rare

        if not is_about_keys(code):
            return False
        self._cache.withdraw(self._credentials, key)
        if not has_expired(code):
            return False
        if self._held is not None and self._held.fetched.key == key:
            now = time.monotonic()
            if now < self._refused_at + _SHORT_PAUSE:
                return False
            self._refused_at = now
            self._held = None
            self._was_refused = True
        return True

    async def aclose(self) -> None:
        """Give up a refresh that runs, and wait for its end."""
        refresh, self._refresh = self._refresh, None
        if refresh is not None and not refresh.done():
            refresh.cancel()
            await asyncio.wait([refresh])

    def _adopt(self, now: float) -> None:
        """Take over keys that another source has fetched, if they are newer."""
        # After a refusal, those of other sources may have been revoked too.
        held = None if self._was_refused else self._cache.find(self._credentials)
        if held is not None and (self._held is None or held.expires > self._held.expires):
            self._accept(held)
            # A source of one call ends before its refresh would: each would start one in vain.
            self._waits_for_refresh = now >= held.due

    def _start_refresh(self) -> asyncio.Task[FetchedKey]:
        """Return the refresh that runs, or start one."""
        if self._refresh is None or self._refresh.done():
            # In a context of its own: that of the caller would put the ids of its trigger into each line of the log.
            self._refresh = asyncio.get_running_loop().create_task(self._fetch(), context=contextvars.Context())
            self._refresh.add_done_callback(self._end_refresh)
        return self._refresh

    async def _fetch(self) -> FetchedKey:
        from airflow_provider_ims.api.fetch import KeyFetcher  # noqa: PLC0415 - only for temporary keys
        from airflow_provider_ims.api.masking import mask  # noqa: PLC0415 - only for temporary keys

        if self._fetcher is None:
            self._fetcher = KeyFetcher(self._credentials, self._exchange)
        fetched = await self._fetcher.fetch()
        await mask(fetched.key)
        return fetched

    def _end_refresh(self, refresh: asyncio.Task[FetchedKey]) -> None:
        if refresh.cancelled():
            return
        error = refresh.exception()
        if error is None:
            held = _HeldKey.of(refresh.result())
            self._cache.put(self._credentials, held)
            self._was_refused = self._waits_for_refresh = False
            self._accept(held)
        else:
            # The text of a foreign exception may hold anything.
            what = f"No keys could be fetched: {type(error).__name__}."
            self._fail(error if isinstance(error, ImsError) else ImsError(what))

    def _accept(self, held: _HeldKey) -> None:
        remember(self._credentials, held.fetched.key)
        # Its own keys whatever the process remembers: another thread may note others at the same moment.
        self._known = tuple(dict.fromkeys((*self._given, held.fetched.key, *recent_keys(self._credentials))))
        self._held, self._failure = held, None

    def _fail(self, failure: ImsError) -> None:
        self._failure = failure
        now = time.monotonic()
        left = 0.0 if self._held is None else max(0.0, self._held.expires - now)
        pause = _SHORT_PAUSE
        if left:
            # Not after the old keys have expired: that would make calls fail which another attempt might save.
            pause = min(_PAUSE, max(left / 2, _SHORT_PAUSE), left)
        if isinstance(failure, ImsApiError) and failure.retry_after:
            pause = max(pause, min(failure.retry_after, _PAUSE))
        self._next_try = now + pause
        if left:
            log.warning(
                "The keys of %s could not be refreshed. The old ones are valid for %.0f s; the next attempt is in "
                "%.0f s. %s",
                self._credentials.description,
                left,
                pause,
                failure,
            )


def _given_keys(credentials: Credentials) -> tuple[AccessKey, ...]:
    """Return the keys that are in the connection itself."""
    if isinstance(credentials, AccessKey):
        return (credentials,)
    from airflow_provider_ims.connection.credentials import given_keys  # noqa: PLC0415 - slow to load

    return given_keys(credentials)
