"""Sustained speed: the first minute of a long run compared with the last, with clock and temperature."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

WINDOW_S = 60.0
_HOLDS = 1.05  # the last minute's median over the first's, up to which the speed counts as kept
_AT_S, _MHZ, _CELSIUS = range(3)  # places in a moment of the conditions' timeline


def sustained(samples_ms: Sequence[float], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``verdict`` reads: the median, the mean clock and the highest temperature at both ends of a run.

    The ends are a minute each, or half of a run that is shorter than two; {} if the samples' times are not known.
    """
    ends_s = (conditions.get("ends_s") or {}).get("latency") or []
    if len(ends_s) != len(samples_ms) or len(ends_s) < 2:
        return {}
    start, end = ends_s[0] - samples_ms[0] / 1000, ends_s[-1]
    window = min(WINDOW_S, (end - start) / 2)
    timed, moments = list(zip(ends_s, samples_ms, strict=True)), conditions.get("timeline") or []
    return {
        "window_s": window,
        "first": _part([ms for at, ms in timed if at <= start + window], _within(moments, start, start + window)),
        "last": _part([ms for at, ms in timed if at >= end - window], _within(moments, end - window, end)),
    }


def _within(moments: Sequence[Sequence[Any]], start: float, end: float) -> list[Sequence[Any]]:
    return [moment for moment in moments if start <= moment[_AT_S] <= end]


def _part(samples_ms: Sequence[float], moments: Sequence[Sequence[Any]]) -> dict[str, float | None]:
    clocks = [moment[_MHZ] for moment in moments if moment[_MHZ] is not None]
    degrees = [moment[_CELSIUS] for moment in moments if moment[_CELSIUS] is not None]
    return {
        "p50_ms": statistics.median(samples_ms),
        "mhz": statistics.fmean(clocks) if clocks else None,
        "celsius": max(degrees, default=None),
    }


def verdict(found: Mapping[str, Any]) -> str:
    """Say in a line whether the speed was kept, and what clock and temperature did."""
    first, last = found["first"], found["last"]
    ratio = last["p50_ms"] / first["p50_ms"]
    kept = "keeps its speed" if ratio <= _HOLDS else f"slows down by {ratio - 1:.0%}"
    changes = [f"p50 {first['p50_ms']:.2f} to {last['p50_ms']:.2f} ms"]
    for name, unit in (("mhz", "MHz"), ("celsius", "°C")):
        if first[name] is not None and last[name] is not None:
            changes.append(f"{first[name]:.0f} to {last[name]:.0f} {unit}")
    return f"{kept}: {', '.join(changes)}"
