"""The runner's stages put together: read, decode, infer, deliver, each in a thread of its own."""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segfast_edge.errors import DataError
from targets.runner.capture_thread import Reader
from targets.runner.decoding import ReducedScale
from targets.runner.decoding_thread import Decoder
from targets.runner.degradation import Limits, Pace
from targets.runner.doubtful_picture import PictureJudge
from targets.runner.frames import Decoded, Notice, Packet, Result, now_ns
from targets.runner.inference_thread import Inference
from targets.runner.inputs import Input
from targets.runner.ledger import Ledger, Tally
from targets.runner.model import Model
from targets.runner.newest_frame import Slot
from targets.runner.output_thread import Lane, Output
from targets.runner.telemetry import Telemetry
from targets.runner.threads import worker

log = logging.getLogger("segfast.runner")

RUNNING, STARTING, STOPPING, ENDED = "running", "starting", "stopping", "ended"
NO_FRAMES, NO_RESULT = "no_frames", "no_result"  # the states in which consumers must not trust what they have


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Settings of the runner; ``keep_all`` None means: every frame of a folder or file, the newest of what is live.

    ``withhold`` withholds a camera's frames while its picture is frozen, black or overexposed for long.
    """

    deadline_ms: float = 200.0
    stall_s: float = 2.0
    stuck_s: float = 5.0
    read_s: float = 60.0  # a stream may give no whole frame for 20 s, and a look-up of its name may take 30
    drain_s: float = 5.0
    keep_all: bool | None = None
    reduced_decode: bool = False
    withhold: bool = True
    limits: Limits = field(default_factory=Limits)
    fallback: Path | None = None

    def __post_init__(self) -> None:
        for name in ("deadline_ms", "stall_s", "stuck_s", "read_s", "drain_s"):
            if not 0 < getattr(self, name) <= 3_600_000:
                raise DataError(f"{name} is {getattr(self, name)}; it must be above 0 and at most an hour")


class Pipeline:
    """Input to outputs. ``start`` it, look at ``state`` while it runs, ``stop`` it, and ``finish`` drains it."""

    def __init__(
        self,
        source: Input,
        model: Model,
        outputs: Mapping[str, Output],
        *,
        settings: PipelineSettings,
        telemetry: Telemetry,
    ) -> None:
        keep_all = not source.live if settings.keep_all is None else settings.keep_all
        packets: Slot[Packet] = Slot(wait=keep_all)
        batches: Slot[Decoded] = Slot(wait=keep_all)
        self.keeps_all = keep_all  # which a policy must not change
        self.settings = settings
        self.telemetry = telemetry
        self.ledger = Ledger()
        self.pace = Pace()
        self.reduced = ReducedScale(wanted=settings.reduced_decode)
        self.reader = Reader(source, self.ledger, packets)
        self.decoder = Decoder(
            self.ledger,
            packets,
            batches,
            pace=self.pace,
            reduced=self.reduced,
            judge=PictureJudge(camera=source.camera and settings.withhold, patience_s=settings.stall_s),
            picture_wanted=self.picture_wanted,
        )
        self.inference = Inference(
            self.ledger, batches, self._deliver, deadline_ms=settings.deadline_ms, reduced=self.reduced
        )
        self.lanes = [Lane(name, each, wait=keep_all, crashed=self.crashed) for name, each in outputs.items()]
        self.crash: Exception | None = None
        self.ended = threading.Event()  # the source has ended and every frame is through, or a thread has crashed
        self._slots: tuple[Slot[Any], ...] = (packets, batches)
        self._stopping = False
        self._started_ns = now_ns()
        self._last_result_ns: int | None = None
        self._threads = [
            worker("read", self.reader.run, self.crashed),
            worker("decode", self.decoder.run, self.crashed),
            worker("infer", self._infer, self.crashed),
        ]
        self.adopt(model)

    def adopt(self, model: Model) -> None:
        """Take over to a model; frames resized for another size are dropped and counted."""
        self.inference.use(model)
        self.decoder.preprocess = model.manifest.preprocess

    def start(self) -> None:
        """Start every thread."""
        self._started_ns = now_ns()
        for lane in self.lanes:
            lane.start()
        for thread in self._threads:
            thread.start()

    def picture_wanted(self) -> bool:
        """Say whether any output still looks at frames."""
        return any(lane.output.wants_frame and not lane.ended for lane in self.lanes)

    def _infer(self) -> None:
        self.inference.run()
        self.ended.set()

    def _deliver(self, result: Result) -> None:
        self._last_result_ns = now_ns()
        self.telemetry.record(result)
        for lane in self.lanes:
            lane.offer(result)

    def crashed(self, error: Exception) -> None:
        """Stop everything: a thread has met a bug, or an error that retrying cannot fix."""
        self.crash = self.crash or error
        for slot in self._slots:
            slot.close()
        for lane in self.lanes:
            lane.abandon()
        self.ended.set()

    @property
    def all_outputs_ended(self) -> bool:
        """Whether there were outputs and no output takes results any more."""
        return bool(self.lanes) and all(lane.ended for lane in self.lanes)

    @property
    def stuck(self) -> str:
        """What hangs, in words: the engine, the decoder or the reader, each by its own deadline; "" for nothing."""
        stuck_s, read_s = self.settings.stuck_s, self.settings.read_s
        for name, pulse, limit_s in (
            ("engine", self.inference.pulse, stuck_s),
            ("decoder", self.decoder.pulse, stuck_s),
            ("reader", self.reader.pulse, read_s),
        ):
            if pulse.over(limit_s):
                return f"the {name} has been busy for over {limit_s:g} s"
        return ""

    def state(self) -> tuple[str, str]:
        """Return the state and, if there is no valid result, the reason."""
        if self._stopping:
            return (ENDED, self.reader.trouble) if self.reader.at_end else (STOPPING, "")
        if self.inference.failure:
            return NO_RESULT, f"the engine failed: {self.inference.failure}"
        stuck = self.stuck
        if stuck:
            return NO_RESULT, stuck
        now = now_ns()
        last_frame = self.reader.last_frame_ns or self._started_ns
        if now - last_frame > self.settings.stall_s * 1e9:
            why = self.reader.trouble or f"no frame for over {self.settings.stall_s:g} s"
            return NO_FRAMES, why
        withheld = self.decoder.judge.withheld
        if withheld:
            return NO_FRAMES, withheld
        since, limit_s = self._last_result_ns or self._started_ns, max(self.settings.stall_s, self.settings.stuck_s)
        if now - since > limit_s * 1e9:
            damaged = self.decoder.last_damage_ns > since  # an older damage explains nothing
            damage = f"no frame can be used; the last: {self.decoder.last_damage}"
            return NO_RESULT, damage if damaged else f"no result for over {limit_s:g} s"
        return (STARTING, "") if self._last_result_ns is None else (RUNNING, "")

    def announce(self, state: str, reason: str) -> None:
        """Tell every output that there is no result to trust."""
        notice = Notice(state, reason, now_ns())
        for lane in self.lanes:
            lane.announce(notice)

    def stop(self) -> None:
        """Read no more; ``finish`` waits for what is under way."""
        self._stopping = True
        self.reader.stop()

    def finish(self) -> Tally:
        """Let every frame that was read come out, close the outputs, and return the final tally.

        What is not through after ``drain_s`` seconds is given up and stays in flight in the tally.
        """
        self._stopping = True
        until = time.monotonic() + self.settings.drain_s
        for thread, slot in zip(self._threads, (*self._slots, None), strict=True):
            thread.join(max(0.0, until - time.monotonic()))
            if slot is not None:
                slot.close()  # closed already, unless its writer is stuck
        for lane in self.lanes:
            if not lane.finish(max(0.1, until - time.monotonic())):
                log.warning("output %s did not finish in time", lane.name)
        tally = self.ledger.tally()
        if tally.in_flight:
            log.warning("%d frames were still in progress", tally.in_flight)
        return tally
