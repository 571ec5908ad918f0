"""Keeps the loggers of Alibaba Cloud's SDKs quiet: they print signed URLs, tokens and headers."""

from __future__ import annotations

import logging

_NAMES = ("darabonba-core", "alibabacloud-tea", "credentials")


def silence_sdk_loggers() -> None:
    """Let the SDK's loggers print nothing; to be called after the import of a module that gives them handlers.

    A filter, because a configuration of Airflow's logging resets ``disabled`` and the level.
    """
    for name in _NAMES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False
        if _nothing not in logger.filters:
            logger.addFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False
