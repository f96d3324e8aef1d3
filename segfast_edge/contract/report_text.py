"""A report as a person reads it: one name and one formatted value per line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from segfast_edge.contract.layer_times import Layer, by_kind
from segfast_edge.contract.report import Memory, Report
from segfast_edge.contract.sustained import verdict

_MEGABYTE = 1e6
# What OpenVINO's and ONNX's exporters put around a layer's place in the network
_AROUND_NAME = re.compile(r"^(__module\.)?(network[./])?|/aten::\w+(/\w+)?$")
KIND_TITLES = ("kind of layer", "count", "ms", "share", "MMACs", "GMACs/s", "of limit")
LAYER_TITLES = ("layer", "kernel", "precision", *KIND_TITLES[2:])


def figures(report: Report, rank: float = 99.0) -> dict[str, str]:
    """Return what to show of a report, in order; ``rank`` adds a latency percentile beside the usual ones."""
    latency = report.latency
    low, high = latency.p50_interval_ms
    ranks = sorted({90.0, 95.0, 99.0, 99.9, rank})
    shown = {
        "engine": report.engine,
        "runtime": ", ".join(f"{name} {version.split('-')[0]}" for name, version in _runtimes(report)),
        "executed": report.executed_precision,
        "ran on": report.executed_device,
        "threads": str(report.threads),
        "import / load": f"{report.import_ms:.0f} / {report.load_ms:.0f} ms",
        "first inference": f"{report.first_inference_ms:.2f} ms",
        "cold start": "unknown" if report.cold_start_ms is None else f"{report.cold_start_ms:.0f} ms",
        **_warm_up(report),
        "p50": f"{latency.p50_ms:.3f} ms",
        "95 % of p50": f"{low:.3f} to {high:.3f}",
        **{f"p{each:g}": f"{latency.percentile_ms(each):.3f} ms" for each in ranks},
        "throughput": f"{latency.throughput_fps:.1f} frames/s",
        "runs": str(len(latency.samples_ms)),
        "variation": f"{latency.variation:.3f}",
        **({} if report.gpu is None else {"on the GPU": f"p50 {report.gpu.p50_ms:.3f} ms"}),
        **{f"stage {name}": f"{stage.p50_ms:.3f} ms" for name, stage in report.stages.items()},
    }
    shown |= _layers(report) | _memory(report.memory) | _stream(report) | _energy(report) | _conditions(report)
    return shown | {"valid": "yes" if report.valid else "no"}


def _runtimes(report: Report) -> list[tuple[str, str]]:
    """Return what ran the network, without what is beside every network."""
    beside = ("numpy", "segfast-edge")
    return [(name, version) for name, version in report.versions.items() if name not in beside]


def _warm_up(report: Report) -> dict[str, str]:
    runs, stable = report.warm_up.get("runs"), report.warm_up.get("stable")
    return {} if runs is None else {"warm-up": f"{runs} runs, {'stable' if stable else 'not stable'}"}


def _layers(report: Report) -> dict[str, str]:
    """Return the sum of the layers beside the whole: what it lacks is between layers, what it is over is tracing."""
    if not report.layers:
        return {}
    total = sum(Layer.from_json(each).ms for each in report.layers)
    return {"sum of the layers": f"{total:.3f} ms, {total / report.latency.p50_ms:.0%} of p50"}


def _memory(memory: Memory) -> dict[str, str]:
    """Return the peak over the baseline, in all and by phase; then the baseline and the share of the process."""
    shown = {"memory": memory.over_baseline_bytes}
    shown |= {f"- {phase}": peak - memory.baseline_bytes for phase, peak in memory.phases.items()}
    shown["baseline"] = memory.baseline_bytes
    if memory.pss_bytes is not None:
        shown["proportional (PSS)"] = memory.pss_bytes
    if memory.available_drop_bytes is not None:
        shown["MemAvailable fell by"] = memory.available_drop_bytes
    return {name: f"{size / _MEGABYTE:.1f} MB" for name, size in shown.items()}


def _conditions(report: Report) -> dict[str, str]:
    """Return what went on around the measurement, as far as this machine reports it."""
    conditions = report.conditions
    share = conditions.get("foreign_cpu_share")
    shown = {
        "clock": _range(conditions.get("frequency_mhz"), "MHz"),
        "GPU clock": _range(conditions.get("gpu_frequency_mhz"), "MHz"),
        "pinned to cores": ", ".join(map(str, conditions.get("pinned_cores", ()))),
        "sustained": verdict(conditions["sustained"]) if conditions.get("sustained") else "",
        "governor": ", ".join(conditions.get("governors", ())),
        "power mode": str(report.machine.get("power_mode") or ""),
        "temperature": _range(conditions.get("temperature_c"), "°C"),
        "battery": str(conditions.get("battery") or ""),
        "other processes": "" if share is None else f"{share:.0%} of the cores{_disturbed(conditions)}",
        "measured": str(conditions.get("started_at", "")).replace("T", " ").replace("Z", " UTC"),
    }
    return {name: value for name, value in shown.items() if value}


def _disturbed(conditions: Mapping[str, Any]) -> str:
    load = conditions.get("load")
    return "" if not load else f", disturbing for {load['disturbed_s']:.1f} of {load['measured_s']:.1f} s"


def _range(spread: Mapping[str, float] | None, unit: str) -> str:
    if not spread:
        return ""
    least, most = f"{spread['least']:.0f}", f"{spread['most']:.0f}"
    return f"{least} {unit}" if least == most else f"{least} to {most} {unit}"


def _stream(report: Report) -> dict[str, str]:
    stream = report.stream
    if not stream:
        return {}
    counts = f"{stream['arrived']} arrived, {stream['dropped']} dropped, {stream['missed']} past the deadline"
    age = stream["age"]
    return {
        f"stream at {stream['target_fps']:g} frames/s": counts,
        "frame age": f"p50 {age['p50_ms']:.2f} ms, p99 {age['p99_ms']:.2f} ms; deadline {stream['deadline_ms']:.2f} ms",
    }


def _energy(report: Report) -> dict[str, str]:
    energy = report.conditions.get("energy_per_frame_j")
    return {} if energy is None else {"energy": f"{1000 * energy:.2f} mJ a frame, {report.conditions['watts']:.1f} W"}


def kind_rows(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return what to show of each kind of layer, under ``KIND_TITLES``; MACs in millions, and billions a second."""
    total = sum(layer.ms for layer in layers) or 1.0
    return [(each.kind, str(count), *_times(each, total)) for each, count in by_kind(layers)]


def layer_rows(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return what to show of each layer in the order of execution, under ``LAYER_TITLES``."""
    total = sum(layer.ms for layer in layers) or 1.0
    return [(short_name(layer), layer.kernel, layer.precision or "", *_times(layer, total)) for layer in layers]


def short_name(layer: Layer) -> str:
    """Return the layer's place in the network, where its name holds more than that."""
    return _AROUND_NAME.sub("", layer.name) or layer.name


def _times(layer: Layer, total: float) -> tuple[str, ...]:
    macs = "" if layer.macs is None else f"{layer.macs / 1e6:.2f}"
    rate = "" if layer.gmacs_per_s is None else f"{layer.gmacs_per_s:.1f}"
    reached = "" if layer.share_of_limit is None else f"{layer.share_of_limit:.0%}"
    return f"{layer.ms:.3f}", f"{100 * layer.ms / total:.1f} %", macs, rate, reached


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def layer_lines(layers: Sequence[Layer]) -> list[str]:
    """Return the layers as plain lines of text: by kind, then each in the order of execution."""
    shown = []
    for titles, rows in ((KIND_TITLES, kind_rows(layers)), (LAYER_TITLES, layer_rows(layers))):
        widths = [max(len(row[column]) for row in (titles, *rows)) for column in range(len(titles))]
        shown += [_line(row, widths) for row in (titles, *rows)]
        shown.append("")
    return shown


def lines(report: Report, rank: float = 99.0) -> list[str]:
    """Return the figures as plain lines of text."""
    shown = {"artifact": str(report.artifact.get("name")), "target": report.target, **figures(report, rank)}
    width = max(map(len, shown))
    return [f"{name:{width}}  {value}" for name, value in shown.items()] + [f"invalid: {why}" for why in report.reasons]
