"""What a measurement on a device gives: raw samples, and everything derived from them as a property."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segfast_edge.errors import ArtifactError

REPORT_VERSION = 1


def percentile(samples: Sequence[float], rank: float) -> float:
    """Return the ``rank`` (0 to 100) percentile with linear interpolation, as numpy's default does."""
    if not samples:
        return math.nan
    ordered = sorted(samples)
    place = (len(ordered) - 1) * rank / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds per inference, in the order taken; none is ever dropped."""

    samples_ms: tuple[float, ...]

    def percentile_ms(self, rank: float) -> float:
        """Return the latency that ``rank`` percent of the samples do not exceed."""
        return percentile(self.samples_ms, rank)

    @property
    def p50_ms(self) -> float:
        """Median latency."""
        return self.percentile_ms(50)

    @property
    def p90_ms(self) -> float:
        """90th percentile."""
        return self.percentile_ms(90)

    @property
    def p99_ms(self) -> float:
        """99th percentile."""
        return self.percentile_ms(99)

    @property
    def throughput_fps(self) -> float:
        """Inferences per second when run back to back: count over the sum of the samples."""
        return 1000 * len(self.samples_ms) / sum(self.samples_ms)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in bytes: the high-water mark (VmHWM), and the same before the engine was imported."""

    peak_bytes: int
    baseline_bytes: int

    @property
    def over_baseline_bytes(self) -> int:
        """What the engine, the model and the run added."""
        return self.peak_bytes - self.baseline_bytes


@dataclass(frozen=True, slots=True)
class Report:
    """One profile of one artifact on one target."""

    artifact: Mapping[str, Any]  # name, format, precision, sha256, input shape, network
    target: str
    engine: str
    executed_precision: str
    threads: int
    import_ms: float
    load_ms: float
    first_inference_ms: float
    latency: Latency
    memory: Memory
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; the derived figures stand beside the raw samples for other programs' sake."""
        return {
            "report_version": REPORT_VERSION,
            "artifact": dict(self.artifact),
            "target": self.target,
            "engine": self.engine,
            "executed_precision": self.executed_precision,
            "threads": self.threads,
            "import_ms": self.import_ms,
            "load_ms": self.load_ms,
            "first_inference_ms": self.first_inference_ms,
            "latency": {
                "p50_ms": self.latency.p50_ms,
                "p90_ms": self.latency.p90_ms,
                "p99_ms": self.latency.p99_ms,
                "throughput_fps": self.latency.throughput_fps,
                "samples_ms": list(self.latency.samples_ms),
            },
            "memory": {
                "peak_bytes": self.memory.peak_bytes,
                "baseline_bytes": self.memory.baseline_bytes,
                "over_baseline_bytes": self.memory.over_baseline_bytes,
            },
            "versions": dict(self.versions),
            "machine": dict(self.machine),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Report":
        """Read what ``to_json`` wrote.

        Raises:
            ArtifactError: a report of another version, or a field missing or of the wrong kind.
        """
        if value.get("report_version") != REPORT_VERSION:
            raise ArtifactError(
                f"report has version {value.get('report_version')}; this release reads {REPORT_VERSION}"
            )
        try:
            return cls(
                artifact=dict(value["artifact"]),
                target=str(value["target"]),
                engine=str(value["engine"]),
                executed_precision=str(value["executed_precision"]),
                threads=int(value["threads"]),
                import_ms=float(value["import_ms"]),
                load_ms=float(value["load_ms"]),
                first_inference_ms=float(value["first_inference_ms"]),
                latency=Latency(tuple(map(float, value["latency"]["samples_ms"]))),
                memory=Memory(int(value["memory"]["peak_bytes"]), int(value["memory"]["baseline_bytes"])),
                versions=dict(value["versions"]),
                machine=dict(value["machine"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"report is not valid: {type(error).__name__} {error}") from error
