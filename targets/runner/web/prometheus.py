"""The runner's status in Prometheus' text format, version 0.0.4."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from segfast_edge import __version__
from targets.runner.telemetry import BUCKETS_S, Telemetry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Status = Mapping[str, Any]
Number = float | int | None
Samples = Iterable[tuple[Mapping[str, object], Number]]

_STATES = ("starting", "running", "no_frames", "no_result", "stopping", "ended")

_SINGLE: tuple[tuple[str, str, str, Callable[[Status], Number]], ...] = (
    ("frames_in_total", "counter", "Frames captured", lambda s: s["frames"]["in"]),
    ("frames_out_total", "counter", "Frames with a mask", lambda s: s["frames"]["out"]),
    ("frames_corrupt_total", "counter", "Frames that could not be decoded", lambda s: s["frames"]["corrupt"]),
    ("frames_in_flight", "gauge", "Frames under way", lambda s: s["frames"]["in_flight"]),
    ("deadline_misses_total", "counter", "Masks later than their deadline", lambda s: s["late"]),
    ("deadline_seconds", "gauge", "The deadline", lambda s: s["deadline_ms"] / 1000),
    ("uptime_seconds", "gauge", "Time since the start", lambda s: s["uptime_s"]),
    ("resident_bytes", "gauge", "Resident memory", lambda s: s["resident_bytes"]),
    ("temperature_celsius", "gauge", "Hottest thermal zone", lambda s: s["temperature_c"]),
    ("source_connected", "gauge", "Whether the source is there", lambda s: int(s["source"]["connected"])),
    ("source_losses_total", "counter", "Times the source was lost", lambda s: s["source"]["losses"]),
    ("resolution_changes_total", "counter", "Frame size changes", lambda s: s["source"]["resolution_changes"]),
    ("engine_failures_total", "counter", "Engine failures", lambda s: s["engine"]["failures"]),
    ("engine_restarts_total", "counter", "Engine restarts", lambda s: s["engine"]["restarts"]),
    ("model_reloads_total", "counter", "Models taken over", lambda s: s["reloads"]["loads"]),
    ("model_reload_failures_total", "counter", "Models refused", lambda s: s["reloads"]["failures"]),
    ("policy_step", "gauge", "Steps down from full, which is 0", lambda s: s["policy"]["index"]),
    ("policy_one_frame_in", "gauge", "One frame in this many is used", lambda s: s["policy"]["one_frame_in"]),
    ("policy_changes_total", "counter", "Steps taken", lambda s: s["policy"]["changes"]),
    ("ahead_drivable", "gauge", "Drivable share of the way ahead", lambda s: (s["ahead"] or {}).get("drivable")),
    ("ahead_free", "gauge", "How far up the way ahead is free", lambda s: (s["ahead"] or {}).get("free")),
    (
        "reduced_decode_agreement",
        "gauge",
        "Lowest agreement of labels with full decoding",
        lambda s: s["reduced_decode"]["lowest_agreement"],
    ),
)


def exposition(telemetry: Telemetry) -> str:
    """Return every metric as text."""
    status = telemetry.status()
    lines: list[str] = []
    for name, kind, about, value in _SINGLE:
        lines += _family(name, kind, about, [({}, value(status))])
    for name, kind, about, samples in _labelled(status):
        lines += _family(name, kind, about, samples)
    stages = telemetry.histograms()
    age = stages.pop("age")
    lines += _histogram("frame_age_seconds", "Age of the frame when its mask was ready", [({}, age)])
    by_stage = [({"stage": stage}, each) for stage, each in stages.items()]
    lines += _histogram("stage_seconds", "Time spent per frame in a stage", by_stage)
    return "\n".join(lines) + "\n"


def _labelled(status: Status) -> Iterable[tuple[str, str, str, Samples]]:
    engine, outputs = status["engine"], status["outputs"].items()
    about = {
        "version": __version__,
        "release": status["release"] or "",
        "engine": engine["name"],
        "artifact": engine["artifact"],
        "step": status["policy"]["step"],
    }
    yield "info", "gauge", "What runs", [(about, 1)]
    states = [({"state": state}, int(status["state"] == state)) for state in _STATES]
    yield "state", "gauge", "1 for the state the runner is in", states
    dropped = [({"reason": reason}, count) for reason, count in status["frames"]["dropped"].items()]
    yield "frames_dropped_total", "counter", "Frames dropped, by reason", dropped
    doubtful = [({"doubt": doubt}, count) for doubt, count in status["picture"]["doubtful"].items()]
    yield "pictures_doubtful_total", "counter", "Frames whose picture is doubtful, by reason", doubtful
    written = [({"output": name}, tally["out"]) for name, tally in outputs]
    yield "output_written_total", "counter", "Results written, by output", written
    lost = [
        ({"output": name, "reason": reason}, count)
        for name, tally in outputs
        for reason, count in tally["dropped"].items()
    ]
    yield "output_not_written_total", "counter", "Results not written, by output and reason", lost
    shares = [({"class": name}, round(share, 6)) for name, share in (status["shares"] or {}).items()]
    yield "class_share", "gauge", "Share of the newest mask's pixels", shares


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _sample(name: str, labels: Mapping[str, object], value: float | int) -> str:
    inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
    return f"segfast_{name}{{{inside}}} {value}" if inside else f"segfast_{name} {value}"


def _family(name: str, kind: str, about: str, samples: Samples) -> list[str]:
    lines = [_sample(name, labels, value) for labels, value in samples if value is not None]
    return [f"# HELP segfast_{name} {about}", f"# TYPE segfast_{name} {kind}", *lines] if lines else []


def _histogram(
    name: str, about: str, series: Iterable[tuple[Mapping[str, object], tuple[list[int], float]]]
) -> list[str]:
    lines = [f"# HELP segfast_{name} {about}", f"# TYPE segfast_{name} histogram"]
    for labels, (counts, total_s) in series:
        running = 0
        for bound, count in zip((*BUCKETS_S, "+Inf"), counts, strict=True):
            running += count
            lines.append(_sample(f"{name}_bucket", {**labels, "le": bound}, running))
        lines.append(_sample(f"{name}_sum", labels, round(total_s, 6)))
        lines.append(_sample(f"{name}_count", labels, running))
    return lines
