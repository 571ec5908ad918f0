"""Who may use the emulator: programs of this machine, but no page of another web site in a browser of this machine.

The control API needs no key. A browser would let a foreign page send it simple requests, and, if the page's name
resolves to a loopback address (DNS rebinding), also read the responses.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:/@\s]+)(:[0-9]{1,5})?", re.IGNORECASE)
# A browser sends this header with every request. "none" is a request of the user, such as an address that was typed.
_OWN_SITES = frozenset({None, "same-origin", "none"})


def is_from_foreign_page(headers: Mapping[str, str], scheme: str) -> bool:
    """Return whether a browser sends the request for a page of another origin.

    :param headers: names in lower case.
    :param scheme: ``http`` or ``https``.
    """
    if headers.get("sec-fetch-site") not in _OWN_SITES:
        return True
    origin = headers.get("origin")
    return origin is not None and origin.lower() != f"{scheme}://{headers.get('host', '')}".lower()


def is_navigation(headers: Mapping[str, str]) -> bool:
    """Return whether the user of a browser follows a link: the page that has the link sees nothing of the response.

    :param headers: names in lower case.
    """
    return (
        "origin" not in headers
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def is_loopback_host(host: str) -> bool:
    """Return whether a ``Host`` header names this machine: localhost or a loopback address, with any port or none.

    Every other name can be one that a foreign page was loaded from.
    """
    match = _AUTHORITY.fullmatch(host)
    if match is None:
        return False
    try:
        return match["host"].lower() == "localhost" or ip_address(match["host"].strip("[]")).is_loopback
    except ValueError:
        return False
