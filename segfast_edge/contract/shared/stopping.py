"""An orderly end: of this process, which signals interrupt so that it cleans up first, and of a child."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, NoReturn


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
    with handling(dict.fromkeys(wanted, _interrupted)):
        yield


@contextlib.contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], object]]) -> Iterator[None]:
    """Handle signals so within the block, and as before after it."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_child(child: "subprocess.Popen[Any]", patience_s: float = 5.0) -> None:
    """Ask a process to end, kill it if it does not within ``patience_s``, and close its pipes."""
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience_s)
        child.kill()
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()
