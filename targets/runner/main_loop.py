"""The loop around a pipeline: state, policy, watchdog, signals, status file."""

import contextlib
import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.stopping import handling
from targets.common.sensors import temperature_c
from targets.runner.degradation import Policy, ladder
from targets.runner.frames import now_ns
from targets.runner.journal import write_what_was_held
from targets.runner.ledger import Tally
from targets.runner.model import Model, ModelChoice
from targets.runner.model_reload import Loader
from targets.runner.pipeline import NO_FRAMES, NO_RESULT, RUNNING, Pipeline
from targets.runner.status import facts
from targets.runner.systemd_notify import Notifier
from targets.runner.telemetry import LATE_WINDOW_S

log = logging.getLogger("segfast.runner")
_TICK_S, _EVERY_S = 0.1, 1.0
PROVEN_S = 30.0


class Service:
    """Runs a pipeline until its input ends, no output is left, or SIGTERM; SIGHUP opens the model again."""

    def __init__(
        self,
        pipeline: Pipeline,
        model: Model,
        *,
        notifier: Notifier | None = None,
        status_file: Path | None = None,
        proven: Callable[[], None] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._choice = model.choice
        self._first = model.choice
        self._notifier = notifier or Notifier({})
        self._status_file = status_file
        self._proven = proven  # called once, when well for PROVEN_S or at the input's end: see targets/install/guard.py
        self._well_since_ns: int | None = None
        self._root = Path("/")
        settings = pipeline.settings
        self.policy = Policy(settings.limits, ladder(settings.fallback, may_skip=not pipeline.keeps_all))
        self.loader = Loader(pipeline.adopt, pipeline.crashed)
        self._temperature_c: float | None = None
        self._started_ns = now_ns()
        self._state = ""
        self._next_ns = 0
        self._stepped_ns = now_ns()
        self._stop_asked = False
        self._reload_asked = False
        pipeline.telemetry.describe = self.describe

    def describe(self) -> dict[str, Any]:
        """Return the runner's account of itself."""
        own = facts(self._pipeline, policy=self.policy, temperature_c=self._temperature_c, started_ns=self._started_ns)
        reloads = {"loads": self.loader.loads, "failures": self.loader.failures, "trouble": self.loader.trouble}
        return {**own, "release": os.environ.get("SEGFAST_RELEASE"), "reloads": reloads}

    def stop(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stop_asked = True

    def reload(self) -> None:
        """Ask the loop to open the model again; safe in a signal handler."""
        self._reload_asked = True

    def run(self) -> Tally:
        """Run to the end and return the final tally.

        Raises:
            Exception: whatever a thread met that retrying cannot fix.
        """
        self._pipeline.start()
        self._notifier.ready()
        try:
            while not (self._stop_asked or self._pipeline.ended.wait(_TICK_S)):
                self._tick()
        finally:
            self._notifier.stopping()
            self._pipeline.stop()
            tally = self._pipeline.finish()
            self._write_status()
        if self._pipeline.crash is not None:
            raise self._pipeline.crash
        if self._pipeline.reader.at_end and tally.out:
            self._report_proof()  # it did all there was to do
        return tally

    def _tick(self) -> None:
        if self._reload_asked:
            self._reload_asked = False
            self._notifier.reloading()
            self.loader.request(self._choice)
            self._notifier.ready()
        if self._pipeline.all_outputs_ended:
            log.info("nobody takes results any more")
            self._stop_asked = True
        if not self._pipeline.stuck:
            self._notifier.beat()
        state, reason = self._pipeline.state()
        changed = state != self._state
        if changed:
            log.log(logging.WARNING if reason else logging.INFO, "state: %s%s", state, reason and f" ({reason})")
            self._state = state
        due = now_ns() >= self._next_ns
        if state in (NO_FRAMES, NO_RESULT) and (changed or due):
            self._pipeline.announce(state, reason)
        if due or changed:
            self._next_ns = now_ns() + round(_EVERY_S * 1e9)
            self._look(state, reason)

    def _look(self, state: str, reason: str) -> None:
        self._temperature_c = temperature_c(self._root)
        # a step is judged by what came after it
        late = self._pipeline.telemetry.late_share(min(LATE_WINDOW_S, (now_ns() - self._stepped_ns) / 1e9))
        work_ms = self._pipeline.telemetry.least_work_ms(LATE_WINDOW_S)
        helps = work_ms is None or work_ms <= self._pipeline.settings.deadline_ms
        if self.policy.observe(now_ns() / 1e9, self._temperature_c, late, skipping_helps=helps):
            self._apply()
        self._notifier.status(f"{state} {reason}".strip())
        write_what_was_held()
        self._write_status()
        self._prove(state)

    def _prove(self, state: str) -> None:
        if state not in (RUNNING, NO_FRAMES) or self._all_late:
            self._well_since_ns = None
        elif self._well_since_ns is None:
            self._well_since_ns = now_ns()
        elif now_ns() - self._well_since_ns > PROVEN_S * 1e9:
            self._report_proof()

    @property
    def _all_late(self) -> bool:
        return not self._pipeline.keeps_all and self._pipeline.telemetry.late_share(LATE_WINDOW_S) == 1.0

    def _report_proof(self) -> None:
        proven, self._proven = self._proven, None
        if proven is not None:
            with contextlib.suppress(OSError):  # a disk that cannot be written takes nothing from the proof
                proven()

    def _apply(self) -> None:
        step = self.policy.step
        self._stepped_ns = now_ns()
        log.warning("running at step '%s' %s", step.name, self.policy.reason)
        self._pipeline.pace.divisor = step.divisor
        wanted = self._first if step.artifact is None else _other(self._first, step.artifact)
        if wanted != self._choice:
            self._choice = wanted
            self.loader.request(wanted)

    def _write_status(self) -> None:
        if self._status_file is None:
            return
        # it belongs on a memory file system: renamed into place, but never forced to a disk
        temporary = self._status_file.with_name(f".{self._status_file.name}.part")
        try:
            temporary.write_text(json.dumps(self._pipeline.telemetry.status()), encoding="utf-8")
            temporary.replace(self._status_file)
        except OSError as error:
            log.debug("no status file: %s", error)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _other(choice: ModelChoice, artifact: Path) -> ModelChoice:
    return replace(choice, artifact=artifact, engine=None)


def signals(service: Service) -> contextlib.AbstractContextManager[None]:
    """Lead SIGTERM and SIGINT to ``stop`` and SIGHUP to ``reload`` while the block runs."""

    def stop(*_: object) -> None:
        service.stop()

    return handling({signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: lambda *_: service.reload()})
