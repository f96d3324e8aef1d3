"""The keys of a report's mappings as JSON, checked before anything is drawn or printed; others may be present."""

from collections.abc import Mapping
from typing import Any, TypedDict

from segfast_edge.contract.shared.records import checked


class Artifact(TypedDict, total=False):
    """The known facts about an artifact."""

    sha256: str | None


class Machine(TypedDict, total=False):
    """The known facts about a computer."""

    memory_bytes: int | None


class Age(TypedDict):
    """The age of results."""

    p50_ms: float
    p99_ms: float


class Stream(TypedDict):
    """The counts of a constant stream."""

    target_fps: float
    deadline_ms: float
    arrived: int
    taken: int
    dropped: int
    missed: int
    age: Age


class Load(TypedDict):
    """The load by other processes."""

    measured_s: float
    disturbed_s: float
    foreign_cores: list[float]


class End(TypedDict):
    """The first or the last minute of a long run."""

    p50_ms: float
    mhz: float | None
    celsius: float | None


class Sustained(TypedDict):
    """Both ends of a long run."""

    first: End
    last: End


class Spread(TypedDict):
    """The readings of a sensor."""

    least: float
    most: float


class Sampled(TypedDict, total=False):
    """Samples along some runs; a moment of ``timeline`` has its time and whatever else is known."""

    foreign_cpu_share: float | None
    energy_per_frame_j: float | None
    watts: float | None
    governors: list[str]
    alarms: list[str]
    load: Load | None
    sustained: Sustained | None
    timeline: list[list[float | None]]
    ends_s: Mapping[str, list[float]]
    frequency_mhz: Spread | None
    gpu_frequency_mhz: Spread | None
    temperature_c: Spread | None


class Conditions(Sampled, total=False):
    """Samples along a run, and separately along the traced runs."""

    layers: Sampled | None


def conditions(value: Any) -> dict[str, Any]:
    """Return what was sampled along a run; KeyError, TypeError or ValueError if it has another form."""
    found: dict[str, Any] = checked(Conditions, value)
    for part in (found, found.get("layers") or {}):
        for at_s, mhz, celsius, watts, *_ in part.get("timeline", ()):
            if at_s is None:
                raise TypeError(f"a moment ({mhz}, {celsius}, {watts}) without its time")
        if part.get("energy_per_frame_j") is not None and part.get("watts") is None:
            raise ValueError("energy_per_frame_j is given without watts")
    return found
