"""Threads whose crash is noticed."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

from targets.runner.frames import now_ns

log = logging.getLogger("segfast.runner")

Crashed = Callable[[Exception], None]


class Pulse:
    """Measures for how long a thread has been in a step that may hang: a read, a decode, an inference."""

    def __init__(self) -> None:
        self._since_ns: int | None = None

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Mark such a step."""
        self._since_ns = now_ns()
        try:
            yield
        finally:
            self._since_ns = None

    def over(self, limit_s: float) -> bool:
        """Say whether the step that the thread is in has taken longer than ``limit_s`` seconds."""
        since = self._since_ns
        return since is not None and now_ns() - since > limit_s * 1e9


def worker(name: str, body: Callable[[], None], crashed: Crashed) -> threading.Thread:
    """Return a daemon thread that runs ``body``; an exception out of it is a bug of ours, logged and reported."""

    def run() -> None:
        try:
            body()
        except Exception as error:
            log.exception("thread %s crashed", name)
            crashed(error)

    return threading.Thread(target=run, name=name, daemon=True)
