"""Registers fetched keys with Airflow's secrets masker, so that no log line of a user's own code shows them.

The texts of this package need no masker: :mod:`~airflow_provider_ims.api.redact` takes the keys out of them.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_ims.connection.access_key import AccessKey

MAX_KEYS = 48
"""How many keys of a process are registered: those of two days, if one connection has new keys each hour.

The masker has no way to remove a text, in the supervisor of a task or triggerer least of all. It compiles one pattern
of all its texts for each new one, and Python's ``re`` keeps the last 512 of them. With tokens of 700 characters that
is 18 MB and 0.3 s for each new key at 48 keys, 70 MB at 100, and 190 MB and 0.7 s at 168, the keys of a week.
"""

log = logging.getLogger(__name__)

_registered: set[AccessKey] = set()
_lock = threading.Lock()


async def mask(key: AccessKey) -> None:
    """Register the secret and the security token of fetched keys, in this process and in its supervisor.

    :param key: the keys
    """
    # The supervisor's reply is waited for: that would block the event loop. In a thread of asgiref, because the
    # triggerer of Airflow 3.1 tells its supervisor by async_to_sync (as in ClientPool.settings).
    from asgiref.sync import sync_to_async  # noqa: PLC0415 - only for temporary keys

    await sync_to_async(_mask, thread_sensitive=False)(key)


def _mask(key: AccessKey) -> None:
    with _lock:
        if key in _registered or len(_registered) >= MAX_KEYS:
            return
        _registered.add(key)
        is_last = len(_registered) == MAX_KEYS
    from airflow.providers.common.compat.sdk import mask_secret  # noqa: PLC0415 - not to parse a DAG file

    mask_secret([text for text in (key.secret, key.security_token) if text])
    if is_last:
        log.info(
            "Airflow's secrets masker has %d temporary keys of this process. It keeps each for ever, so later ones are "
            "not registered: do not log them",
            MAX_KEYS,
        )
