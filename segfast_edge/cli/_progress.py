"""Progress of long work on stderr: a bar on a terminal, else a line every ten seconds."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_EVERY_S = float(os.environ.get("SEGFAST_PROGRESS_S", "10"))


@contextlib.contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to call with the number done and the total."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what).told
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


class _Lines:
    """A line now and then, so that a log shows that the work is alive; none if it is done before the first is due."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = self._last = time.monotonic()

    def told(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < _EVERY_S or not done:
            return
        self._last = now
        rate = done / (now - self._begun)
        left = f", {(total - done) / rate:.0f} s left" if total > done else ""
        print(f"{self._what}: {done} of {total}, {rate:.1f} a second{left}", file=sys.stderr, flush=True)
