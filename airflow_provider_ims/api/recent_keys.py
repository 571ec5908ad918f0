"""The keys that this process has fetched last, for redaction: also a later client must know them.

Each call of a hook from synchronous code has a client of its own. A gateway that keeps responses may repeat the keys
of an earlier call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_ims.connection.access_key import AccessKey
    from airflow_provider_ims.connection.credentials import Credentials

KEPT = 3
"""How many keys of an identity are known: the current ones and two before, whose last responses may be on the way.

Each key costs time at each response.
"""
_MAX_IDENTITIES = 100

# No lock: a task's signal handler may interrupt the thread that holds it. Each step is one operation of a dict.
_recent: dict[Credentials, tuple[AccessKey, ...]] = {}


def remember(credentials: Credentials, key: AccessKey) -> None:
    """Note fetched keys.

    :param credentials: where they come from
    :param key: the keys
    """
    earlier = [one for one in _recent.get(credentials, ()) if one != key]
    _recent[credentials] = (key, *earlier[: KEPT - 1])
    for oldest in list(_recent)[:-_MAX_IDENTITIES]:
        _recent.pop(oldest, None)


def recent_keys(credentials: Credentials) -> tuple[AccessKey, ...]:
    """Return the last keys of an identity, the newest first.

    :param credentials: where they come from
    """
    return _recent.get(credentials, ())
