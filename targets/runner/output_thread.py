"""One output and its thread: a slow or broken output delays no other, and every result is accounted for."""

import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

from segfast_edge.errors import SegfastError, one_line
from targets.runner.backoff import Backoff
from targets.runner.frames import Notice, Result, now_ns
from targets.runner.ledger import OUT, Ledger
from targets.runner.newest_frame import ClosedError, Slot
from targets.runner.threads import Crashed, worker

log = logging.getLogger("segfast.runner")
Item = TypeVar("Item", Result, Notice)


class Output(Protocol):
    """A receiver of results; it may raise OSError or SegfastError, which the output's thread counts and survives.

    A frame that no output wants is let go as soon as it is resized for the network.
    """

    @property
    def wants_frame(self) -> bool:
        """Whether it looks, at this time, at the frame itself and not at the mask alone."""
        ...

    def write(self, result: Result) -> None:
        """Take a result."""
        ...

    def notice(self, _: Notice, /) -> None:
        """Take the news that there is no result to trust; repeated about once a second while it lasts."""
        return

    def close(self) -> None:
        """Finish what is open."""
        return


class Lane:
    """Feeds one output from a slot of its own; ``wait`` off means the newest result only.

    After a failure (a full disk) the output rests for 0.1 to 5 seconds and its results are dropped, counted. A
    closed pipe is for good.
    """

    def __init__(self, name: str, output: Output, *, wait: bool, crashed: Crashed) -> None:
        self.name = name
        self.output = output
        self.ledger = Ledger()
        self.trouble = ""
        self.ended = False
        self._slot: Slot[tuple[int, Result]] = Slot(wait=wait)
        self._notice: Notice | None = None
        self._backoff = Backoff()
        self._resume_ns = 0
        self._thread = worker(f"output {name}", self._run, crashed)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, result: Result) -> None:
        """Hand over a result; a newer one may take its place before it is written."""
        number = self.ledger.enter()
        left = self._slot.put((number, result))
        if left is not None:
            self.ledger.leave(left[0], "closed" if left[0] == number else "superseded")

    def announce(self, notice: Notice) -> None:
        """Hand over a notice; it is delivered as soon as the thread is free."""
        self._notice = notice

    def abandon(self) -> None:
        """Take nothing more, so that nobody waits for this output."""
        self._slot.close()

    def finish(self, wait_s: float) -> bool:
        """Write what is left, close the output, and say whether that was done in time."""
        self._slot.close()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while True:
                self._next_item()
        except ClosedError:
            self._close()

    def _next_item(self) -> None:
        taken = self._slot.take(0.1)  # gone with this call, not kept while the next one is waited for
        notice, self._notice = self._notice, None
        if taken is not None:
            self.ledger.leave(taken[0], self._write(taken[1]))
        elif notice is not None:
            self._try(self.output.notice, notice)

    def _write(self, result: Result) -> str:
        if self.ended:
            return "closed"
        if now_ns() < self._resume_ns:
            return "resting"
        if not self._try(self.output.write, result):
            return "failed"
        self._backoff.succeeded()
        if self.trouble:
            log.info("output %s works again", self.name)
            self.trouble = ""
        return OUT

    def _try(self, act: Callable[[Item], None], what: Item) -> bool:
        if self.ended:
            return False
        try:
            act(what)
        except BrokenPipeError:
            log.warning("output %s: its reader is gone", self.name)
            self.trouble, self.ended = "its reader is gone", True
        except (OSError, SegfastError) as error:
            reason = one_line(error)
            if reason != self.trouble:
                log.warning("output %s failed: %s", self.name, reason)
            self.trouble = reason
            self._resume_ns = now_ns() + round(self._backoff.failed() * 1e9)
        else:
            return True
        return False

    def _close(self) -> None:
        try:
            self.output.close()
        except (OSError, SegfastError) as error:
            log.warning("output %s could not be closed: %s", self.name, error)
