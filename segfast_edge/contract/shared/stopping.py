"""An orderly end: the signals that would end this process at once are turned into one that cleans up first."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn


def _interrupted(_: int, __: object) -> NoReturn:
    raise KeyboardInterrupt


@contextlib.contextmanager
def orderly() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP interrupt as Ctrl-C does. Elsewhere than in the main thread: no change."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _interrupted) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
