"""The rules by which a measurement is invalid."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segfast_edge.contract.report import Latency

MIN_SAMPLES = 30
MAX_VARIATION = 0.2
MAX_FOREIGN_SHARE = 0.1  # of all usable cores, by other processes, on average
DISTURBING_CORES = 0.3  # of one core, by other processes, within a window
MAX_DISTURBED_SHARE = 0.05  # of the time in windows with more than that


def reasons(latency: "Latency", conditions: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a measurement is invalid; nothing if it is valid."""
    found = [*disturbances(conditions)]
    found += [f"layers: {each}" for each in disturbances(conditions.get("layers") or {})]
    count = len(latency.samples_ms)
    if count < MIN_SAMPLES:
        found.append(f"too few samples: {count}; at least {MIN_SAMPLES}")
    elif latency.variation > MAX_VARIATION:
        found.append(f"unsteady: coefficient of variation {latency.variation:.2f}; at most {MAX_VARIATION}")
    return tuple(found)


def disturbances(conditions: Mapping[str, Any]) -> list[str]:
    """Return what disturbed a run from outside: throttling, and the load by other processes."""
    found = [f"throttled: {alarm}" for alarm in conditions.get("alarms") or ()]
    share = conditions.get("foreign_cpu_share")
    load = conditions.get("load") or {}
    measured_s, disturbed_s = load.get("measured_s", 0.0), load.get("disturbed_s", 0.0)
    if share is not None and share > MAX_FOREIGN_SHARE:
        found.append(f"foreign load: other processes took {share:.0%} of the cores; at most {MAX_FOREIGN_SHARE:.0%}")
    elif disturbed_s > MAX_DISTURBED_SHARE * measured_s:
        found.append(
            f"foreign load: other processes took over {DISTURBING_CORES} of a core for {disturbed_s:.1f} of"
            f" {measured_s:.1f} s; at most {MAX_DISTURBED_SHARE:.0%} of the time"
        )
    return found
