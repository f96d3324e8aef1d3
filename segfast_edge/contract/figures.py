"""A report as a person reads it: one name and one formatted value per line."""

from segfast_edge.contract.report import Report

_MEGABYTE = 1e6


def figures(report: Report, rank: float = 99.0) -> dict[str, str]:
    """Return what to show of a report, in order; ``rank`` adds a latency percentile beside the usual ones."""
    latency, memory = report.latency, report.memory
    low, high = latency.p50_interval_ms
    ranks = sorted({90.0, 95.0, 99.0, 99.9, rank})
    shown = {
        "engine": report.engine,
        "executed": report.executed_precision,
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


def lines(report: Report, rank: float = 99.0) -> list[str]:
    """Return the figures as plain lines of text."""
    shown = {"artifact": str(report.artifact.get("name")), "target": report.target, **figures(report, rank)}
    width = max(map(len, shown))
    return [f"{name:{width}}  {value}" for name, value in shown.items()] + [f"void: {why}" for why in report.reasons]
