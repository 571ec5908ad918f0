"""The names of the actions of IMS, from the text of the official SDK: for the error about one that does not exist."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path

_SDK = "alibabacloud_ice20201109"
_ACTION = re.compile(r"\baction ?= ?['\"]([A-Za-z0-9]+)['\"]")
_MOST_NAMES = 3
_SIMILARITY = 0.6


def advice_about_action(name: str) -> str:
    """Return what to do about an action that the service does not know: the nearest names, if there are any.

    :param name: the action that was called
    """
    names = {action.lower(): action for action in actions_of_sdk()}
    if names.get(name.lower()) == name:
        return "The official SDK has this action: look at the Endpoint and the region of the connection."
    nearest = difflib.get_close_matches(name.lower(), names, n=_MOST_NAMES, cutoff=_SIMILARITY)
    hint = f" Do you mean {' or '.join(names[one] for one in nearest)}?" if nearest else ""
    return f"IMS has no action {name}.{hint} Its actions: https://api.aliyun.com/api/ICE/2020-11-09."


def actions_of_sdk() -> set[str]:
    """Return the actions that the client of the official SDK names; none if it cannot be read.

    It is read as text: its import takes a second and 1,600 modules.
    """
    try:
        spec = importlib.util.find_spec(_SDK)
        folders = spec.submodule_search_locations if spec else None
        return {name for folder in folders or () for name in _ACTION.findall(_client_text(Path(folder)))}
    except (OSError, ValueError, ImportError):
        return set()


def _client_text(folder: Path) -> str:
    return (folder / "client.py").read_text(encoding="utf-8", errors="replace")
