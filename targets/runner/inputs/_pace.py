"""Frames from a store, given at a fixed rate as a camera would."""

import threading

from targets.runner.frames import now_ns


class Metronome:
    """Ticks at a fixed rate from the first wait on; late ticks are not made up for."""

    def __init__(self, rate: float | None) -> None:
        self._period_ns = round(1e9 / rate) if rate else 0
        self._due_ns: int | None = None
        self._stopped = threading.Event()

    def wait(self) -> bool:
        """Wait for the next tick; False if ``stop`` came instead."""
        if self._period_ns:
            now = now_ns()
            if self._due_ns is None or now - self._due_ns > self._period_ns:
                self._due_ns = now
            self._stopped.wait(max(0.0, (self._due_ns - now) / 1e9))
            self._due_ns += self._period_ns
        return not self._stopped.is_set()

    def stop(self) -> None:
        """End a wait now and for good."""
        self._stopped.set()
