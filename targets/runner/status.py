"""The runner's own account of itself, as plain JSON values."""

import os
from pathlib import Path
from typing import Any

from targets.runner.degradation import Policy
from targets.runner.doubtful_picture import DOUBTS
from targets.runner.frames import now_ns
from targets.runner.pipeline import Pipeline

STATUS_VERSION = 1


def facts(pipeline: Pipeline, *, policy: Policy, temperature_c: float | None, started_ns: int) -> dict[str, Any]:
    """Return state, counts and conditions at this moment; the keys are documented in docs/runner.md."""
    state, reason = pipeline.state()
    model = pipeline.inference.model
    return {
        "status_version": STATUS_VERSION,
        "state": state,
        "reason": reason,
        "pid": os.getpid(),
        "at_ns": now_ns(),
        "uptime_s": round((now_ns() - started_ns) / 1e9, 3),
        "frames": pipeline.ledger.tally().to_json(),
        "deadline_ms": pipeline.settings.deadline_ms,
        "every_frame": pipeline.keeps_all,
        "source": {
            "connected": pipeline.reader.connected,
            "connections": pipeline.reader.connections,
            "losses": pipeline.reader.losses,
            "trouble": pipeline.reader.trouble,
            "resolution": _resolution(pipeline.decoder.resolution),
            "resolution_changes": pipeline.decoder.resolution_changes,
            "last_damage": pipeline.decoder.last_damage,
        },
        "picture": {
            "doubt": pipeline.decoder.judge.doubt or None,
            "doubtful": {doubt: pipeline.decoder.judge.counts[doubt] for doubt in DOUBTS},
        },
        "engine": {
            "name": None if model is None else model.session.engine,
            "artifact": None if model is None else str(model.choice.artifact),
            "golden": None if model is None else model.golden,
            "failures": pipeline.inference.failures,
            "restarts": pipeline.inference.restarts,
            "failure": pipeline.inference.failure,
        },
        "reduced_decode": {
            "allowed": pipeline.reduced.allowed,
            "lowest_agreement": pipeline.reduced.lowest_agreement,
        },
        "outputs": {lane.name: {**lane.ledger.tally().to_json(), "trouble": lane.trouble} for lane in pipeline.lanes},
        "policy": {
            "step": policy.step.name,
            "index": policy.index,
            "one_frame_in": policy.step.divisor,
            "reason": policy.reason,
            "changes": policy.changes,
        },
        "temperature_c": temperature_c,
        "resident_bytes": resident_bytes(),
    }


def _resolution(size: tuple[int, int] | None) -> str | None:
    return None if size is None else f"{size[1]}x{size[0]}"


def resident_bytes() -> int | None:
    """Return this process's resident memory, or None if /proc does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
