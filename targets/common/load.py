"""Load by other processes on the cores that this one may use, in windows of a tenth of a second."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.validity import DISTURBING_CORES
from targets.common import sensors

WINDOW_S = 0.1
_SHORTEST_S = 0.2  # for a share: the kernel counts busy time in ticks of 10 ms, commonly
_CERTAIN = 1.5  # standard deviations of counting by ticks that are no load
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds since some start: by the clock, busy on the usable cores (all processes), and our own.

    ``cores`` has the busy seconds of each usable core.
    """

    wall_s: float
    busy_s: float | None
    own_s: float
    cores: tuple[float, ...] = ()

    @classmethod
    def now(cls, root: Path) -> "CpuTime":
        """Read the three clocks."""
        cores = _busy_s(root)
        return cls(time.monotonic(), sum(cores) if cores else None, time.process_time(), cores)


def _busy_s(root: Path) -> tuple[float, ...]:
    """Return seconds of work on each core this process may use, stolen time of a virtual machine included."""
    usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    cores = []
    for line in (sensors.read(root / "proc/stat") or "").splitlines():
        if not line.startswith("cpu"):
            break  # the lines of the cores come first; those after them are long
        name, *counts = line.split()
        if name in usable and len(counts) >= 8:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, counts[:8])
            cores.append((user + nice + system + irq + softirq + steal) / _TICKS_PER_S)
    return tuple(cores)


def foreign_share(start: CpuTime, end: CpuTime) -> float | None:
    """Return what other processes took of the usable cores, 0 to 1; None if it was too short to tell."""
    wall_s = end.wall_s - start.wall_s
    if start.busy_s is None or end.busy_s is None or wall_s < _SHORTEST_S:
        return None
    foreign = (end.busy_s - start.busy_s) - (end.own_s - start.own_s)
    capacity = wall_s * len(os.sched_getaffinity(0))
    return min(max(foreign / capacity, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """A stretch of time, the cores' worth of work that others did in it, and what counting by ticks may be off."""

    seconds: float
    foreign_cores: float
    uncertainty: float

    @property
    def disturbed(self) -> bool:
        """Whether others took so much of a core that a measurement beside them suffers."""
        return self.foreign_cores > DISTURBING_CORES + _CERTAIN * self.uncertainty


def windows(times: Sequence[CpuTime]) -> list[LoadWindow]:
    """Return the windows between neighbouring readings, merged up to at least half of ``WINDOW_S``."""
    found: list[LoadWindow] = []
    start = times[0] if times else None
    for time_now in times[1:]:
        if start is None or start.busy_s is None or time_now.busy_s is None:
            start = time_now
        elif time_now.wall_s - start.wall_s >= WINDOW_S / 2:
            found.append(_window(start, time_now))
            start = time_now
    return found


def _window(start: CpuTime, end: CpuTime) -> LoadWindow:
    seconds = end.wall_s - start.wall_s
    # a core that was busy for part of the time has a random number of ticks; one that was idle or full has not
    busy = [min((b - a) / seconds, 1.0) for a, b in zip(start.cores, end.cores, strict=True)]
    uncertainty = math.sqrt(sum(share * (1 - share) for share in busy) / max(1.0, seconds * _TICKS_PER_S))
    own = (end.own_s - start.own_s) / seconds
    return LoadWindow(seconds, max(0.0, sum(busy) - own), uncertainty)


def summary(times: Sequence[CpuTime]) -> dict[str, Any]:
    """Return plain JSON values: seconds in all and disturbed, and the others' cores in each window; {} if unknown."""
    found = windows(sorted(times, key=lambda each: each.wall_s))
    if not found:
        return {}
    return {
        "window_s": WINDOW_S,
        "measured_s": round(sum(each.seconds for each in found), 3),
        "disturbed_s": round(sum(each.seconds for each in found if each.disturbed), 3),
        "foreign_cores": [round(each.foreign_cores, 2) for each in found],
    }
