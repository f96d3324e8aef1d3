"""Timing loops. A timer holds what is called inside it and nothing else; no sample is ever left out."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Latency
from segfast_edge.errors import TargetError

_WINDOW = 10  # runs whose median is compared with that of the window before
_STABLE = 0.03  # relative difference of two windows that counts as none
_WARM_UP_S = 15.0  # a machine that is not stable by then will not be


def elapsed_ns(step: Callable[[], Any]) -> int:
    """Return how long one call takes."""
    start = time.perf_counter_ns()
    step()
    return time.perf_counter_ns() - start


def milliseconds(samples_ns: list[int]) -> Latency:
    """Turn nanoseconds into a latency; a clock too coarse to see a run counts it as one nanosecond."""
    return Latency(tuple(max(sample, 1) / 1e6 for sample in samples_ns))


@dataclass(frozen=True, slots=True)
class Span:
    """The end of a series of runs, by the plan's count and seconds."""

    plan: ProfileOptions

    def over(self, runs: int, seconds: float) -> bool:
        """Say whether enough has been measured, or the time is up."""
        enough = runs >= self.plan.num_runs and seconds >= self.plan.min_secs
        return enough or (runs > 0 and seconds >= self.plan.max_secs)


def warm_up(step: Callable[[], Any], plan: ProfileOptions) -> dict[str, Any]:
    """Run until two neighbouring windows have the same median; return ``runs`` and ``stable``."""
    samples: list[int] = []
    deadline = time.monotonic() + min(_WARM_UP_S, plan.max_secs)
    stable = False
    while len(samples) < plan.warmup_runs or not stable:
        if time.monotonic() > deadline:
            break
        samples.append(elapsed_ns(step))
        stable = _settled(samples)
    return {"runs": len(samples), "stable": stable}


def _settled(samples: list[int]) -> bool:
    if len(samples) < 2 * _WINDOW:
        return False
    before = statistics.median(samples[-2 * _WINDOW : -_WINDOW])
    now = statistics.median(samples[-_WINDOW:])
    return abs(now - before) <= _STABLE * before


@contextlib.contextmanager
def recorder(plan: ProfileOptions) -> Iterator[Callable[[int], Any]]:
    """Give what writes a sample to the plan's file, outside every timer; what is there outlives an interruption.

    Raises:
        TargetError: the file cannot be written.
    """
    if not plan.samples:
        yield lambda _: None
        return
    try:
        with Path(plan.samples).open("w", encoding="ascii", buffering=1) as file:
            yield lambda sample_ns: file.write(f"{sample_ns / 1e6:.6f}\n")
    except OSError as error:
        raise TargetError(f"cannot write {plan.samples}: {error.strerror or error}") from error


def _nothing() -> None:
    return None


def single_stream(step: Callable[[], Any], plan: ProfileOptions, *, after: Callable[[], Any] = _nothing) -> Latency:
    """Time one call after another; ``after`` is called after each, outside the timer."""
    samples: list[int] = []
    with recorder(plan) as record:
        span, start = Span(plan), time.monotonic()
        while not span.over(len(samples), time.monotonic() - start):
            samples.append(elapsed_ns(step))
            record(samples[-1])
            after()
    return milliseconds(samples)


def staged(
    frame: Callable[[], Mapping[str, int]], plan: ProfileOptions, *, after: Callable[[], Any] = _nothing
) -> dict[str, Latency]:
    """Time whole frames; each call returns nanoseconds per stage, and ``end_to_end`` is their sum."""
    series: dict[str, list[int]] = {}
    span, start, count = Span(plan), time.monotonic(), 0
    while not span.over(count, time.monotonic() - start):
        _add(series, frame())
        after()
        count += 1
    return {name: milliseconds(samples) for name, samples in series.items()}


def _add(series: dict[str, list[int]], stages: Mapping[str, int]) -> None:
    for name, spent in stages.items():
        series.setdefault(name, []).append(spent)
    series.setdefault("end_to_end", []).append(sum(stages.values()))


def constant_stream(
    frame: Callable[[], Mapping[str, int]], plan: ProfileOptions, *, after: Callable[[], Any] = _nothing
) -> tuple[dict[str, Latency], dict[str, Any]]:
    """Take frames that arrive at ``target_fps`` whether we are ready or not; always the freshest, older ones drop.

    A frame's age runs from its arrival to the end of its last stage; it misses its deadline when that is over
    one period. Every frame that arrived is accounted for: taken or dropped.
    """
    period_ns = round(1e9 / plan.target_fps)
    series: dict[str, list[int]] = {}
    ages: list[int] = []
    with recorder(plan) as record:
        span, start, last = Span(plan), time.perf_counter_ns(), -1
        while not span.over(len(ages), (time.perf_counter_ns() - start) / 1e9):
            freshest = (time.perf_counter_ns() - start) // period_ns
            if freshest == last:
                freshest = last + 1
                time.sleep(max(0, start + freshest * period_ns - time.perf_counter_ns()) / 1e9)
            last = freshest
            _add(series, frame())
            ages.append(time.perf_counter_ns() - start - freshest * period_ns)
            record(series["inference"][-1])
            after()
    age = milliseconds(ages)
    stream = {
        "target_fps": plan.target_fps,
        "deadline_ms": period_ns / 1e6,
        "arrived": last + 1,
        "taken": len(ages),
        "dropped": last + 1 - len(ages),
        "missed": sum(each > period_ns for each in ages),
        "age": age.to_json(),
    }
    return {name: milliseconds(samples) for name, samples in series.items()}, stream
