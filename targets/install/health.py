"""The health check of a release that was just started."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.errors import TargetError

# A camera that is not there is not the release's fault: the runner waits for it
WELL = ("running", "no_frames")
ENDED = "ended"  # a folder or file was read to its end


@dataclass(frozen=True, slots=True)
class Patience:
    """A release must be healthy for ``well_s`` seconds without a break, and must manage that within ``limit_s``."""

    limit_s: float = 60.0
    well_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.well_s <= self.limit_s <= 3600:
            raise TargetError(
                f"a release must be healthy for {self.well_s:g} s within {self.limit_s:g} s; allowed are 0 < s <= 3600"
            )

    @property
    def fresh_s(self) -> float:
        """How old a status, written every second, may be; more if one is ready to wait for a slow device."""
        return max(3.0, self.limit_s / 20)


def _never() -> bool:
    return False


def watch(status_file: Path, release: str, patience: Patience, over: Callable[[], bool] = _never) -> str:
    """Watch the runner's status until ``release`` has been healthy for long enough; return "" then, else what is wrong.

    A release that read its input to the end and gave results is healthy. ``over`` says that the runner has ended
    and is not started again, so that there is nothing to wait for.
    """
    began = time.monotonic()
    until = began + patience.limit_s
    well_since: float | None = None
    pid, said = None, "it did not start"
    while time.monotonic() < until:
        last = over()  # before the status is read: it is written before the end
        status = _status(status_file)
        if status.get("release") == release:
            if _ended_well(status, began):
                return ""
            fresh = time.monotonic() - status.get("at_ns", 0) / 1e9 < patience.fresh_s
            late = _all_late(status)
            well = fresh and status.get("state") in WELL and not late
            said = late or _said(status, fresh=fresh)
            if not well:
                well_since = None
            elif well_since is None or status.get("pid") != pid:
                well_since, pid = time.monotonic(), status.get("pid")
            elif time.monotonic() - well_since >= patience.well_s:
                return ""
        if last:
            return said
        time.sleep(0.1)
    return f"{said}; it was not well for {patience.well_s:g} s within {patience.limit_s:g} s"


def _ended_well(status: dict[str, Any], since: float) -> bool:
    frames = status.get("frames")
    out = frames.get("out") if isinstance(frames, dict) else 0
    return status.get("state") == ENDED and bool(out) and status.get("at_ns", 0) / 1e9 >= since


def _all_late(status: dict[str, Any]) -> str:
    """Return what to say of a release whose every result comes too late; "" if some come in time."""
    recent = status.get("recent")
    if not isinstance(recent, dict) or recent.get("late_share") != 1 or status.get("state") != WELL[0]:
        return ""
    if status.get("every_frame"):  # however late, as of a folder
        return ""
    ages = recent.get("age_ms")
    age = f"{ages['p50']:.0f} ms old" if isinstance(ages, dict) and "p50" in ages else "too old"
    deadline = f"--deadline-ms={status.get('deadline_ms'):g}"
    return (
        f"every result was late: {age} in the middle, the deadline is {deadline}. Raise it with"
        " --option=--deadline-ms=MS, or use a faster artifact"
    )


def _said(status: dict[str, Any], *, fresh: bool) -> str:
    state = f"its state was {status.get('state')} {status.get('reason') or ''}".strip()
    return state if fresh else f"it stopped saying how it is; before that {state}"


def _status(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
