"""Warnings about a dataset that are logged once, although it has many files and is opened several times."""

import logging
from collections.abc import Hashable

_said: set[Hashable] = set()
_log = logging.getLogger(__name__)


def warn_once(key: Hashable, message: str, *values: object) -> None:
    """Log a warning unless one with the same ``key`` was logged by this process."""
    if key not in _said:
        _said.add(key)
        _log.warning(message, *values)
