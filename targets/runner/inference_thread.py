"""The inference thread: turns batches into masks; if the engine fails, it reports no result and opens it again."""

import logging
import threading
import time
from collections.abc import Callable

from segfast_edge.contract.masks import mask_at
from targets.runner.backoff import Backoff
from targets.runner.decoding import ReducedScale
from targets.runner.frames import Decoded, Result, now_ns
from targets.runner.ledger import OUT, Ledger
from targets.runner.model import Model, open_model
from targets.runner.newest_frame import ClosedError, Slot
from targets.runner.threads import Pulse

log = logging.getLogger("segfast.runner")


class Inference:
    """Runs the newest batch and hands each result to ``deliver``.

    An engine that raises, or gives labels that no class has, is closed and opened again after a pause that grows
    from 0.1 to 5 seconds; until it works again frames are counted as dropped and ``failure`` says why.
    """

    def __init__(
        self,
        ledger: Ledger,
        inbox: Slot[Decoded],
        deliver: Callable[[Result], None],
        *,
        deadline_ms: float,
        reduced: ReducedScale,
    ) -> None:
        self._ledger = ledger
        self._inbox = inbox
        self._deliver = deliver
        self._deadline_ms = deadline_ms
        self._backoff = Backoff()
        self._retry_ns = 0
        self._down = False  # the session is not to be used again
        self._swap_lock = threading.Lock()
        self._next: Model | None = None
        self._reduced = reduced
        self.model: Model | None = None
        self.failure = ""
        self.failures = 0
        self.restarts = 0
        self.pulse = Pulse()

    def use(self, model: Model) -> None:
        """Take over to ``model`` before the next frame."""
        with self._swap_lock:
            self._next = model

    def run(self) -> None:
        """Be the thread's body."""
        try:
            while True:
                self._take_over()
                self._next_frame()
        except ClosedError:
            return

    def _next_frame(self) -> None:
        decoded = self._inbox.take(0.25)  # gone with this call, not kept while the next one is waited for
        if decoded is not None:
            self._take(decoded)

    def _take_over(self) -> None:
        with self._swap_lock:
            chosen, self._next = self._next, None
        if chosen is not None:
            self.model, self._down, self.failure = chosen, False, ""
            self._backoff.succeeded()

    def _take(self, decoded: Decoded) -> None:
        number = decoded.number
        if self._down:
            self._reopen()
        model = self.model
        if self._down or model is None:
            self._ledger.leave(number, "engine")
            return
        if decoded.batch.shape[1:3] != model.manifest.preprocess.size:
            self._ledger.leave(number, "reloaded")  # resized for the model before this one
            return
        try:
            with self.pulse.busy():
                result = self._infer(model, decoded)
        except Exception as error:
            # whatever an engine raises, the runner goes on and says that there is no result
            log.warning("engine failed on frame %d", number, exc_info=error)
            self._failed(error)
            self._ledger.leave(number, "engine")
            return
        self._backoff.succeeded()
        self.failure = ""
        self._deliver(result)
        self._ledger.leave(number, OUT)
        if decoded.exact is not None:
            self._reduced.compared(result.labels, model.labels(decoded.exact))

    def _infer(self, model: Model, decoded: Decoded) -> Result:
        started = time.perf_counter_ns()
        labels = model.labels(decoded.batch)
        inferred = time.perf_counter_ns()
        mask = mask_at(labels, decoded.size)
        finished = time.perf_counter_ns()
        timings = {"inference": (inferred - started) / 1e6, "postprocess": (finished - inferred) / 1e6}
        return Result(
            number=decoded.number,
            name=decoded.name,
            captured_ns=decoded.captured_ns,
            finished_ns=now_ns(),
            picture=decoded.picture,
            labels=labels,
            mask=mask,
            classes=model.manifest.classes,
            timings_ms={**decoded.timings_ms, **timings},
            deadline_ms=self._deadline_ms,
            doubt=decoded.doubt,
        )

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._down = True
        self.failure = f"{type(error).__name__}: {error}"
        self._retry_ns = now_ns() + round(self._backoff.failed() * 1e9)

    def _reopen(self) -> None:
        if self.model is None or now_ns() < self._retry_ns:
            return
        try:
            with self.pulse.busy():
                self.model = open_model(self.model.choice)
        except Exception as error:
            log.warning("engine does not open again", exc_info=error)
            self._failed(error)
            return
        self.restarts += 1
        self._down = False  # but the failure stands until there is a result
        log.info("engine is open again")
