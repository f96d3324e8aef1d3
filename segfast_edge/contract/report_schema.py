"""Check what a report holds as plain JSON before anything draws or prints it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segfast_edge.contract.layer_times import Layer

_SPREADS = ("frequency_mhz", "gpu_frequency_mhz", "temperature_c")


def numbers(values: Any) -> tuple[float, ...]:
    """Return a list of finite numbers; TypeError or ValueError if it is something else, such as a text of digits."""
    return tuple(map(number, _list(values)))


def number(value: Any) -> float:
    """Return a finite number; TypeError or ValueError if it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    return float(value)


def texts_of(values: Any) -> tuple[str, ...]:
    """Return a list of texts; TypeError if it is something else."""
    return tuple(_texts(values))


def layers(values: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return layers as ``Layer`` writes them; KeyError, TypeError or ValueError where one is none."""
    return tuple(Layer.from_json(value).to_json() for value in values)


def texts(value: Mapping[str, Any]) -> dict[str, str]:
    """Return names with a text each; TypeError where one is of another kind."""
    return {name: _text(each) for name, each in value.items()}


def artifact(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of an artifact; TypeError where its checksum is no text."""
    return _with(value, _text, "sha256")


def machine(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a computer; TypeError or ValueError where its memory is no number of bytes."""
    return _with(value, int, "memory_bytes")


def stream(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a constant stream met, or nothing; KeyError, TypeError or ValueError where a count is missing."""
    if not value:
        return {}
    numbers = {name: float(value[name]) for name in ("target_fps", "deadline_ms")}
    counts = {name: int(value[name]) for name in ("arrived", "taken", "dropped", "missed")}
    age = {name: float(value["age"][name]) for name in ("p50_ms", "p99_ms")}
    return {**value, **numbers, **counts, "age": {**value["age"], **age}}


def conditions(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sampled along a run; KeyError, TypeError or ValueError where it has another form."""
    found = _with(value, float, "foreign_cpu_share", "energy_per_frame_j", "watts")
    found |= {name: _texts(value[name]) for name in ("governors", "alarms") if name in value}
    for name, read in (("load", _load), ("layers", conditions), ("sustained", _sustained)):
        if value.get(name) is not None:
            found[name] = read(value[name])
    if "timeline" in value:
        found["timeline"] = [_moment(moment) for moment in value["timeline"]]
    if "ends_s" in value:
        found["ends_s"] = {name: [float(each) for each in _list(times)] for name, times in value["ends_s"].items()}
    for name in _SPREADS:
        if value.get(name):
            found[name] = {**value[name], **{end: float(value[name][end]) for end in ("least", "most")}}
    if found.get("energy_per_frame_j") is not None and found.get("watts") is None:
        raise ValueError("energy_per_frame_j is given without watts")
    return found


def _with(value: Mapping[str, Any], read: Callable[[Any], Any], *names: str) -> dict[str, Any]:
    """Return ``value`` with those of ``names`` that it has something for as ``read`` reads them."""
    return {**value, **{name: read(value[name]) for name in names if value.get(name) is not None}}


def _load(value: Mapping[str, Any]) -> dict[str, Any]:
    if not value:  # not known
        return {}
    seconds = {name: number(value[name]) for name in ("measured_s", "disturbed_s")}
    return {**value, **seconds, "foreign_cores": list(numbers(value["foreign_cores"]))}


def _sustained(value: Mapping[str, Any]) -> dict[str, Any]:
    if not value:  # not known
        return {}
    return {**value, "first": _end(value["first"]), "last": _end(value["last"])}


def _end(value: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: None if value[name] is None else number(value[name]) for name in ("mhz", "celsius")}
    return {**value, **found, "p50_ms": number(value["p50_ms"])}


def _moment(values: Sequence[Any]) -> list[float | None]:
    """Return a moment of the timeline, which needs its time; what was not sampled then is None."""
    at_s, mhz, celsius, watts, *later = values
    return [float(at_s), *(None if each is None else float(each) for each in (mhz, celsius, watts, *later))]


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is not a list")
    return values


def _texts(values: Any) -> list[str]:
    return [_text(each) for each in _list(values)]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
