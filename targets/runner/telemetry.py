"""The runner's own figures, for the status file, the web page and Prometheus."""

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.masks import class_shares
from segfast_edge.contract.shared.bootstrap import percentile
from segfast_edge.contract.shared.images import Labels
from targets.runner.drivable import ahead, drivable_labels
from targets.runner.frames import Result, now_ns

BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
LATE_WINDOW_S = 5.0
HISTORY = 600  # results kept for the page's plots: 20 seconds at 30 frames per second


class Histogram:
    """Counts of durations by bucket, as Prometheus wants them; the caller locks."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    def observe(self, duration_ms: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BUCKETS_S, duration_ms / 1000)] += 1
        self.sum_s += duration_ms / 1000


@dataclass(frozen=True, slots=True)
class PlotPoint:
    """One result in the plots: when on the monotonic clock, and its figures in milliseconds."""

    at_ns: int
    age_ms: float
    latency_ms: float
    late: bool


@dataclass(frozen=True, slots=True)
class LastLabels:
    """The labels of one result, at the network's size, and their classes; its frame and mask are not kept."""

    labels: Labels
    classes: ClassSet


class Telemetry:
    """Collects results; ``describe`` is called for everything else when somebody looks.

    ``drivable`` names the classes that can be driven on, None for the usual names.
    """

    def __init__(self, drivable: tuple[str, ...] | None = None) -> None:
        self._drivable = drivable
        self._lock = threading.Lock()
        self._points: deque[PlotPoint] = deque(maxlen=HISTORY)
        self._stages: dict[str, Histogram] = {}
        self._age = Histogram()
        self._last: LastLabels | None = None
        self.late = 0
        self.describe: Callable[[], Mapping[str, Any]] = dict

    def record(self, result: Result) -> None:
        """Take in a result."""
        with self._lock:
            self._points.append(PlotPoint(result.finished_ns, result.age_ms, result.latency_ms, result.late))
            for stage, spent_ms in result.timings_ms.items():
                self._stages.setdefault(stage, Histogram()).observe(spent_ms)
            self._age.observe(result.age_ms)
            self._last = LastLabels(result.labels, result.classes)
            self.late += result.late

    @property
    def last(self) -> LastLabels | None:
        """What the newest result saw."""
        return self._last

    def ahead(self, result: Result | LastLabels) -> dict[str, float] | None:
        """Return how much of the way ahead can be driven on, 0 to 1; None if no class can be."""
        way = ahead(result.labels, drivable_labels(result.classes, self._drivable))
        return None if way is None else {"drivable": round(way.share, 4), "free": round(way.free, 4)}

    def points(self) -> list[PlotPoint]:
        """Return the newest results' figures, the oldest first."""
        with self._lock:
            return list(self._points)

    def late_share(self, window_s: float) -> float:
        """Return the share of the last ``window_s`` seconds' results that were late; 0 without any."""
        since = now_ns() - round(window_s * 1e9)
        recent = [point.late for point in self.points() if point.at_ns >= since]
        return sum(recent) / len(recent) if recent else 0.0

    def least_work_ms(self, window_s: float) -> float | None:
        """Return the work that one frame in ten of the last ``window_s`` seconds took at most; None without any."""
        since = now_ns() - round(window_s * 1e9)
        recent = [point.latency_ms for point in self.points() if point.at_ns >= since]
        return percentile(recent, 10) if recent else None

    def histograms(self) -> dict[str, tuple[list[int], float]]:
        """Return counts per bucket and the sum in seconds: ``age``, and one per stage."""
        with self._lock:
            every = {"age": self._age, **self._stages}
            return {name: (list(each.counts), each.sum_s) for name, each in every.items()}

    def status(self) -> dict[str, Any]:
        """Return everything as plain JSON values."""
        points = self.points()
        ages = [point.age_ms for point in points]
        latencies = [point.latency_ms for point in points]
        span_s = (points[-1].at_ns - points[0].at_ns) / 1e9 if len(points) > 1 else 0.0
        last = self._last
        return {
            **self.describe(),
            "late": self.late,
            "recent": {
                "results": len(points),
                "late_share": round(self.late_share(LATE_WINDOW_S), 4),
                "per_second": round((len(points) - 1) / span_s, 2) if span_s else None,
                "age_ms": _summary(ages),
                "latency_ms": _summary(latencies),
            },
            "shares": None if last is None else class_shares(last.labels, last.classes),
            "ahead": None if last is None else self.ahead(last),
        }


def _summary(samples: list[float]) -> dict[str, float] | None:
    if not samples:
        return None
    return {f"p{rank}": round(percentile(samples, rank), 3) for rank in (50, 90, 99)}
