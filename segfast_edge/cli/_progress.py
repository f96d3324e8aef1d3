"""Progress of long work on stderr: a bar on a terminal, else a line every ten seconds."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segfast_edge.cli._volume import volume

_EVERY_S = float(os.environ.get("SEGFAST_PROGRESS_S", "10"))


@contextlib.contextmanager
def bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function to call with the number done and the total."""
    console = Console(stderr=True)
    if volume.quiet:
        yield lambda *_: None
        return
    if not console.is_terminal:
        yield Lines(what).told
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


class Lines:
    """A line now and then, so that a log shows that the work is alive; none if it is done before the first is due."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = time.monotonic()
        self._first: tuple[int, float] | None = None  # work that is continued has a share done before it begins

    def told(self, done: int, total: int) -> None:
        """Take what is done of the total."""
        now = time.monotonic()
        first_done, begun = self._first = self._first or (max(0, done - 1), self._last)
        if now - self._last < _EVERY_S or done <= first_done:
            return
        self._last = now
        rate = (done - first_done) / (now - begun)
        left = f", {(total - done) / rate:.0f} s left" if total > done else ""
        print(f"{self._what}: {done} of {total}, {rate:.1f} a second{left}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def status(what: str, console: Console | None = None) -> Iterator[Callable[[str], None]]:
    """Show what is being done, and give a function that changes it: a line that moves, or one every ten seconds."""
    screen = console or Console(stderr=True)
    if volume.quiet:
        yield lambda *_: None
    elif screen.is_terminal:
        with screen.status(what) as shown:
            yield shown.update
    else:
        with _Alive(what) as alive:
            yield alive.now


class _Alive:
    """Says every ten seconds what is being done, from a thread of its own: the work does not come back to tell."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def now(self, what: str) -> None:
        """Take what is being done from here on."""
        self._what = what

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            print(f"{time.monotonic() - self._begun:.0f} s: {self._what}", file=sys.stderr, flush=True)

    def __enter__(self) -> "_Alive":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
