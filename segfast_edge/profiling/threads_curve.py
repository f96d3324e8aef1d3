"""Latency by the number of threads, and how many threads are worth having."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segfast_edge.contract.report import Report
from segfast_edge.contract.shared.bootstrap import Interval, mean_median, mean_median_interval
from segfast_edge.errors import TargetError

_WORTH = 1.05  # more threads are not recommended for less than this


def counts(request: str, cores: int) -> list[int]:
    """Return the numbers of threads to measure: those named, else powers of two up to ``cores``, and ``cores``.

    Raises:
        TargetError: not numbers from 1 to 1024, separated by commas.
    """
    if not request:
        return sorted({1 << power for power in range(cores.bit_length()) if 1 << power <= cores} | {cores})
    words = [word.strip() for word in request.split(",")]
    if not all(word.isdecimal() and 1 <= int(word) <= 1024 for word in words):
        raise TargetError(f"--threads-curve {request}: give numbers of threads such as 1,2,4, each from 1 to 1024")
    return sorted(set(map(int, words)))


@dataclass(frozen=True, slots=True)
class Point:
    """One artifact on a number of threads."""

    artifact: str
    threads: int
    processes: int
    p50_ms: float
    interval: Interval
    valid: bool
    recommended: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def label(name: str, threads: int) -> str:
    """Return what to call an artifact's reports on a number of threads, so that compare does not mix them."""
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}"


def curve(name: str, reports: Sequence[Report]) -> list[Point]:
    """Return an artifact's points by the number of threads; recommended are the fewest within 5 % of the best.

    Nothing is recommended if a report is invalid.
    """
    runs = {threads: [each for each in reports if each.threads == threads] for threads in {r.threads for r in reports}}
    samples = {threads: [each.latency.samples_ms for each in some] for threads, some in runs.items()}
    medians = {threads: mean_median(some) for threads, some in samples.items()}
    best = min(medians.values())
    fewest = min(threads for threads, median in medians.items() if median <= _WORTH * best)
    return [
        Point(
            artifact=name,
            threads=threads,
            processes=len(some),
            p50_ms=medians[threads],
            interval=mean_median_interval(samples[threads]),
            valid=all(each.valid for each in some),
            recommended=threads == fewest and all(each.valid for each in reports),
        )
        for threads, some in sorted(runs.items())
    ]
