"""What a report holds as plain JSON, looked at before anybody draws or prints it."""

from collections.abc import Mapping, Sequence
from typing import Any

from segfast_edge.contract.layers import Layer

_SPREADS = ("frequency_mhz", "gpu_frequency_mhz", "temperature_c")


def layers(values: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return layers as ``Layer`` writes them; KeyError, TypeError or ValueError where one is none."""
    return tuple(Layer.from_json(value).to_json() for value in values)


def stream(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a constant stream met, or nothing; KeyError, TypeError or ValueError where a count is missing."""
    if value:
        for name in ("target_fps", "deadline_ms", "arrived", "taken", "dropped", "missed"):
            float(value[name])
        for name in ("p50_ms", "p99_ms"):
            float(value["age"][name])
    return dict(value)


def conditions(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sampled along a run; KeyError, TypeError or ValueError where it has another form."""
    for moment in value.get("timeline", ()):
        at_s, _mhz, _celsius, _watts, *_later = (None if each is None else float(each) for each in moment)
        if at_s is None:
            raise ValueError("a moment of the timeline has no time")
    for times in value.get("ends_s", {}).values():
        tuple(map(float, times))
    for name in _SPREADS:
        if value.get(name):
            float(value[name]["least"]), float(value[name]["most"])
    for name in ("foreign_cpu_share", "energy_per_frame_j", "watts"):
        if value.get(name) is not None:
            float(value[name])
    return dict(value)
