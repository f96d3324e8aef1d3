"""The decoding thread: packets to batches for the network."""

import logging
import time
from collections.abc import Callable

import numpy as np

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.errors import DataError
from targets.runner.decoding import ReducedScale
from targets.runner.degradation import Pace
from targets.runner.doubtful_picture import PictureJudge
from targets.runner.frames import Decoded, Packet, now_ns
from targets.runner.ledger import CORRUPT, Ledger
from targets.runner.newest_frame import ClosedError, Slot
from targets.runner.threads import Pulse

log = logging.getLogger("segfast.runner")


class Decoder:
    """Decodes and resizes what ``inbox`` gives; damaged frames are counted and the stream continues."""

    def __init__(
        self,
        ledger: Ledger,
        inbox: Slot[Packet],
        outbox: Slot[Decoded],
        *,
        pace: Pace,
        reduced: ReducedScale,
        judge: PictureJudge,
        picture_wanted: Callable[[], bool],
    ) -> None:
        self._ledger = ledger
        self._inbox = inbox
        self._outbox = outbox
        self._pace = pace
        self._reduced = reduced
        self.judge = judge
        self._picture_wanted = picture_wanted
        self.pulse = Pulse()
        self.preprocess = Preprocess()
        self.resolution: tuple[int, int] | None = None
        self.resolution_changes = 0
        self.last_damage = ""
        self.last_damage_ns = 0

    def run(self) -> None:
        """Be the thread's body."""
        try:
            while True:
                self._next_packet()
        except ClosedError:
            pass
        finally:
            self._outbox.close()

    def _next_packet(self) -> None:
        packet = self._inbox.take()  # gone with this call, not kept while the next one is waited for
        if packet is not None:
            self._take(packet)

    def _take(self, packet: Packet) -> None:
        if not self._pace.admits():
            self._ledger.leave(packet.number, "paced")
            return
        try:
            with self.pulse.busy():
                decoded = self._decode(packet)
        except DataError as error:
            if str(error) != self.last_damage:
                log.warning("frame %d is corrupt: %s", packet.number, error)
            self.last_damage, self.last_damage_ns = str(error), now_ns()
            self._ledger.leave(packet.number, CORRUPT)
            return
        if self.judge.withheld:
            self._ledger.leave(packet.number, "distrusted")
            return
        left = self._outbox.put(decoded)
        if left is not None:
            self._ledger.leave(left.number, "superseded")

    def _decode(self, packet: Packet) -> Decoded:
        preprocess = self.preprocess
        reduce = self._reduced.allowed
        started = time.perf_counter_ns()
        picture, size = packet.payload.decode(preprocess.size if reduce else None)
        decoded = time.perf_counter_ns()
        batch = preprocess.picture(picture)[np.newaxis]
        resized = time.perf_counter_ns()
        exact = None
        if reduce and picture.size != size[::-1] and self._reduced.due():
            exact = preprocess.picture(packet.payload.decode(None)[0])[np.newaxis]
        self._note(size)
        doubt = self.judge.look(packet.payload, batch[0])
        timings = {"decode": (decoded - started) / 1e6, "preprocess": (resized - decoded) / 1e6}
        kept = picture if self._picture_wanted() else None
        return Decoded(packet.number, packet.name, packet.captured_ns, kept, size, batch, exact, doubt, timings)

    def _note(self, size: tuple[int, int]) -> None:
        if size != self.resolution:
            if self.resolution is not None:
                self.resolution_changes += 1
                log.info("frames are now %dx%d", size[1], size[0])
            self.resolution = size
