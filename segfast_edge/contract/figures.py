"""A report as a person reads it: one name and one formatted value per line."""

from collections.abc import Sequence

from segfast_edge.contract.layers import Layer, by_kind
from segfast_edge.contract.report import Report

_MEGABYTE = 1e6
KIND_TITLES = ("kind of layer", "count", "ms", "share", "MMACs", "GMACs/s")
LAYER_TITLES = ("layer", "kernel", "precision", *KIND_TITLES[2:])


def figures(report: Report, rank: float = 99.0) -> dict[str, str]:
    """Return what to show of a report, in order; ``rank`` adds a latency percentile beside the usual ones."""
    latency, memory = report.latency, report.memory
    low, high = latency.p50_interval_ms
    ranks = sorted({90.0, 95.0, 99.0, 99.9, rank})
    shown = {
        "engine": report.engine,
        "executed": report.executed_precision,
        "ran on": report.executed_device,
        "threads": str(report.threads),
        "import / load": f"{report.import_ms:.0f} / {report.load_ms:.0f} ms",
        "first inference": f"{report.first_inference_ms:.2f} ms",
        "cold start": "unknown" if report.cold_start_ms is None else f"{report.cold_start_ms:.0f} ms",
        "p50": f"{latency.p50_ms:.3f} ms",
        "95 % of p50": f"{low:.3f} to {high:.3f}",
        **{f"p{each:g}": f"{latency.percentile_ms(each):.3f} ms" for each in ranks},
        "throughput": f"{latency.throughput_fps:.1f} frames/s",
        "runs": str(len(latency.samples_ms)),
        "variation": f"{latency.variation:.3f}",
        **({} if report.gpu is None else {"on the GPU": f"p50 {report.gpu.p50_ms:.3f} ms"}),
        **{f"stage {name}": f"{stage.p50_ms:.3f} ms" for name, stage in report.stages.items()},
        "memory": f"{memory.over_baseline_bytes / _MEGABYTE:.1f} MB",
        "baseline": f"{memory.baseline_bytes / _MEGABYTE:.1f} MB",
    }
    return shown | _stream(report) | _energy(report) | {"valid": "yes" if report.valid else "no"}


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
    return [(layer.name, layer.kernel, layer.precision or "", *_times(layer, total)) for layer in layers]


def _times(layer: Layer, total: float) -> tuple[str, ...]:
    macs = "" if layer.macs is None else f"{layer.macs / 1e6:.2f}"
    rate = "" if layer.gmacs_per_s is None else f"{layer.gmacs_per_s:.1f}"
    return f"{layer.ms:.3f}", f"{100 * layer.ms / total:.1f} %", macs, rate


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
    return [f"{name:{width}}  {value}" for name, value in shown.items()] + [f"void: {why}" for why in report.reasons]
