"""Conditions of a measurement, sampled by a thread: the load ten times a second, the rest twice."""

import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets.common import cgroups, load, power, sensors
from targets.common.load import CpuTime, foreign_share

_WINDOWS_A_SAMPLE = 5  # sensors are read in every fifth window: some boards tell only through a program


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample; None if the board has no such sensor. ``energy_j`` is a counter, ``watts`` a reading."""

    at_s: float
    cpu: CpuTime
    mhz: float | None
    celsius: float | None
    watts: float | None
    energy_j: float | None
    alarms: tuple[str, ...]
    gpu_mhz: float | None = None


class Sampler:
    """Samples from entering to leaving the block; ``summary`` afterwards."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._moments: list[Moment] = []
        self._loads: list[CpuTime] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="conditions", daemon=True)
        self._has_rails = bool(power.rails_w(root))

    def __enter__(self) -> "Sampler":
        self._flags = sensors.pi_flags(self._root)
        self._events = _event_counts(self._root)
        self._started_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._start = self._end = CpuTime.now(self._root)
        self.take()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.take()
        self._end = CpuTime.now(self._root)

    def _watch(self) -> None:
        windows, next_s = 0, time.monotonic()
        while True:
            next_s = max(next_s + load.WINDOW_S, time.monotonic())
            if self._done.wait(next_s - time.monotonic()):
                return
            windows += 1
            if windows % _WINDOWS_A_SAMPLE:
                self._loads.append(CpuTime.now(self._root))
            else:
                self.take()

    def now_s(self) -> float:
        """Return the seconds since the block was entered."""
        return time.monotonic() - self._start.wall_s

    def take(self) -> float:
        """Take a sample now; return its time in seconds since the block was entered."""
        root, at_s = self._root, self.now_s()
        watts = power.total_w(power.rails_w(root)) if self._has_rails else None
        clocks = sensors.frequency_mhz(root), sensors.temperature_c(root)
        alarms, gpu_mhz = tuple(sensors.alarms(root)), sensors.gpu_frequency_mhz(root)
        cpu, energy_j = CpuTime.now(root), power.package_energy_j(root)
        self._loads.append(cpu)
        self._moments.append(Moment(at_s, cpu, *clocks, watts, energy_j, alarms, gpu_mhz))
        return at_s

    def mean_watts(self, start_s: float, end_s: float) -> float | None:
        """Return the mean power between two times, by the energy counter if there is one."""
        inside = sorted((m for m in self._moments if start_s <= m.at_s <= end_s), key=lambda m: m.at_s)
        counted = [m for m in inside if m.energy_j is not None]
        if len(counted) > 1:
            first, last = counted[0], counted[-1]
            rise = (last.energy_j or 0.0) - (first.energy_j or 0.0)
            return rise / (last.at_s - first.at_s) if rise >= 0 else None  # the counter wrapped round
        watts = [m.watts for m in inside if m.watts is not None]
        return statistics.fmean(watts) if watts else None

    def summary(self) -> dict[str, Any]:
        """Return plain JSON values.

        Each moment of ``timeline`` has seconds, MHz, degrees Celsius, watts, what other processes took of the cores
        since the moment before, and the GPU's MHz. ``load`` has the work of others in windows of 100 ms, in cores.
        """
        share = foreign_share(self._start, self._end)
        moments = sorted(self._moments, key=lambda moment: moment.at_s)
        return {
            "started_at": self._started_at,
            "duration_s": self._end.wall_s - self._start.wall_s,
            "governors": sensors.governors(self._root),
            "frequency_mhz": _spread([m.mhz for m in moments]),
            "gpu_frequency_mhz": _spread([m.gpu_mhz for m in moments]),
            "temperature_c": _spread([m.celsius for m in moments]),
            "foreign_cpu_share": share,
            "load": load.summary(self._loads),
            "alarms": self._alarms(),
            "battery": sensors.battery(self._root),
            "gpu_load": sensors.gpu_load(self._root),
            "rails_w": power.rails_w(self._root),
            "timeline": [
                [m.at_s, m.mhz, m.celsius, m.watts, foreign, m.gpu_mhz]
                for m, foreign in zip(moments, _foreign_shares(moments), strict=True)
            ],
        }

    def _alarms(self) -> list[str]:
        seen = {alarm for moment in self._moments for alarm in moment.alarms}
        flags = sensors.pi_flags(self._root)
        if self._flags is not None and flags is not None:
            seen.update(sensors.new_since(self._flags, flags))
        events = _event_counts(self._root)
        seen.update(name for name, count in events.items() if count > self._events[name])
        return sorted(seen)


def _event_counts(root: Path) -> dict[str, int]:
    return {**sensors.event_counts(root), "CPU quota of the control group": cgroups.throttled_count(root)}


def _foreign_shares(moments: list[Moment]) -> list[float | None]:
    """Return the share of others since a moment long enough before, for each; None if that was too short ago."""
    shares: list[float | None] = []
    before = moments[0].cpu if moments else None
    for moment in moments:
        share = foreign_share(before, moment.cpu) if before else None
        shares.append(share)
        before = before if share is None else moment.cpu
    return shares


def _spread(values: list[float | None]) -> dict[str, float]:
    known = [value for value in values if value is not None]
    if not known:
        return {}
    return {"first": known[0], "least": min(known), "median": statistics.median(known), "most": max(known)}
