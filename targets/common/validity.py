"""When a measurement is invalid, and why."""

from collections.abc import Mapping
from typing import Any

from segfast_edge.contract.report import MAX_FOREIGN_SHARE, Latency

MIN_SAMPLES = 30
MAX_VARIATION = 0.2


def reasons(latency: Latency, conditions: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a measurement is invalid; nothing if it is valid."""
    found = [f"throttled: {alarm}" for alarm in conditions.get("alarms", ())]
    share = conditions.get("foreign_cpu_share")
    if share is not None and share > MAX_FOREIGN_SHARE:
        found.append(f"foreign load: other processes took {share:.0%} of the cores; at most {MAX_FOREIGN_SHARE:.0%}")
    count = len(latency.samples_ms)
    if count < MIN_SAMPLES:
        found.append(f"too few samples: {count}; at least {MIN_SAMPLES}")
    elif latency.variation > MAX_VARIATION:
        found.append(f"unsteady: coefficient of variation {latency.variation:.2f}; at most {MAX_VARIATION}")
    return tuple(found)
