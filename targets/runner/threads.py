"""Threads whose crash is noticed."""

import logging
import threading
from collections.abc import Callable

log = logging.getLogger("segfast.runner")

Crashed = Callable[[Exception], None]


def worker(name: str, body: Callable[[], None], crashed: Crashed) -> threading.Thread:
    """Return a daemon thread that runs ``body``; an exception out of it is a bug of ours, logged and reported."""

    def run() -> None:
        try:
            body()
        except Exception as error:
            log.exception("thread %s crashed", name)
            crashed(error)

    return threading.Thread(target=run, name=name, daemon=True)
