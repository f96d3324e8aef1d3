"""What a report holds as plain JSON, looked at before anybody draws or prints it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from segfast_edge.contract.layer_times import Layer

_SPREADS = ("frequency_mhz", "gpu_frequency_mhz", "temperature_c")


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
    if "timeline" in value:
        found["timeline"] = [_moment(moment) for moment in value["timeline"]]
    if "ends_s" in value:
        found["ends_s"] = {name: [float(each) for each in times] for name, times in value["ends_s"].items()}
    if "governors" in value:
        found["governors"] = _texts(value["governors"])
    for name in _SPREADS:
        if value.get(name):
            found[name] = {**value[name], **{end: float(value[name][end]) for end in ("least", "most")}}
    if found.get("energy_per_frame_j") is not None and found.get("watts") is None:
        raise ValueError("energy_per_frame_j is given without watts")
    return found


def _with(value: Mapping[str, Any], read: Callable[[Any], Any], *names: str) -> dict[str, Any]:
    """Return ``value`` with those of ``names`` that it has something for as ``read`` reads them."""
    return {**value, **{name: read(value[name]) for name in names if value.get(name) is not None}}


def _moment(values: Sequence[Any]) -> list[float | None]:
    """Return a moment of the timeline, which needs its time; what was not sampled then is None."""
    at_s, mhz, celsius, watts, *later = values
    return [float(at_s), *(None if each is None else float(each) for each in (mhz, celsius, watts, *later))]


def _texts(values: Any) -> list[str]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r} is no list of texts")
    return [_text(each) for each in values]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
