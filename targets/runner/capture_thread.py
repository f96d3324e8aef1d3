"""The capture thread: keeps a source connected and takes every frame it gives."""

import logging
import threading

from targets.runner.backoff import Backoff
from targets.runner.frames import Packet, now_ns
from targets.runner.inputs import EndOfInputError, Input, InputLostError
from targets.runner.ledger import Ledger
from targets.runner.newest_frame import Slot
from targets.runner.threads import Pulse

log = logging.getLogger("segfast.runner")
_WAIT_S = 0.25  # how long a read may keep the thread from seeing that it should stop


class Reader:
    """Reads ``source`` into ``slot`` until its end or ``stop``; a lost source is opened again, ever more patiently."""

    def __init__(self, source: Input, ledger: Ledger, slot: Slot[Packet]) -> None:
        self._source = source
        self._ledger = ledger
        self._slot = slot
        self._stopping = threading.Event()
        self.pulse = Pulse()
        self.connected = False
        self.connections = 0
        self.losses = 0
        self.last_frame_ns: int | None = None
        self.trouble = "not connected yet"
        self.at_end = False  # the source has given its last frame, which is no failure

    def run(self) -> None:
        """Be the thread's body."""
        backoff = Backoff()
        try:
            while not self._stopping.is_set():
                try:
                    with self.pulse.busy():
                        self._source.connect()
                    self._connected()
                    self._read_on(backoff)
                except InputLostError as error:
                    self._lost(str(error))
                    self._stopping.wait(backoff.failed())
        except EndOfInputError:
            self.trouble = "the input has ended"
            self.at_end = not self._stopping.is_set()
        finally:
            self.connected = False
            self._source.close()
            self._slot.close()

    def _connected(self) -> None:
        self.connected = True
        self.connections += 1
        self.trouble = ""
        if self.connections > 1:
            log.info("source is back")

    def _lost(self, reason: str) -> None:
        if self._stopping.is_set():
            return
        if reason != self.trouble:
            log.warning("source lost: %s", reason)
        self.losses += self.connected
        self.connected = False
        self.trouble = reason

    def _read_on(self, backoff: Backoff) -> None:
        while not self._stopping.is_set():
            with self.pulse.busy():
                grab = self._source.read(_WAIT_S)
            if grab is None:
                continue
            backoff.succeeded()
            self.last_frame_ns = now_ns()
            number = self._ledger.enter()
            left = self._slot.put(Packet(number, grab.name, self.last_frame_ns, grab.payload))
            if left is not None:
                self._ledger.leave(left.number, "stopping" if left.number == number else "superseded")

    def stop(self) -> None:
        """Read no more; what was read is still processed."""
        self._stopping.set()
        self._source.interrupt()
