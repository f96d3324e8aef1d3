"""Saying a thing about a dataset once, although its files are many and it is opened more than once."""

import logging
from collections.abc import Hashable

_said: set[Hashable] = set()
_log = logging.getLogger(__name__)


def warn_once(key: Hashable, message: str, *values: object) -> None:
    """Log a warning unless one with the same ``key`` was logged by this process."""
    if key not in _said:
        _said.add(key)
        _log.warning(message, *values)
