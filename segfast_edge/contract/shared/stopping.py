"""An orderly end: signals that would end this process at once interrupt it instead, so that it cleans up first."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn


def _interrupted(_: int, __: object) -> NoReturn:
    raise KeyboardInterrupt


@contextlib.contextmanager
def orderly() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP interrupt as Ctrl-C does, unless they are ignored, as nohup does.

    In another thread than the main one, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    wanted = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupted) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
