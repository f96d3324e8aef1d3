"""The report of a measurement on a device: raw samples, and everything derived from them as a property."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from segfast_edge.contract import report_schema, validity
from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.shared import records
from segfast_edge.contract.shared.bootstrap import Interval, median_interval, percentile, variation
from segfast_edge.contract.shared.files import read_json
from segfast_edge.errors import ArtifactError

REPORT_VERSION = 1
PROCESSOR = "processor"  # where a network runs unless something else is said


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds each time, in the order taken; none is ever dropped."""

    samples_ms: tuple[float, ...]

    def percentile_ms(self, rank: float) -> float:
        """Return the latency that ``rank`` percent of the samples do not exceed."""
        return percentile(self.samples_ms, rank)

    @property
    def p50_ms(self) -> float:
        """Median latency."""
        return self.percentile_ms(50)

    @property
    def p99_ms(self) -> float:
        """99th percentile."""
        return self.percentile_ms(99)

    @property
    def throughput_fps(self) -> float:
        """Inferences per second when run back to back: count over the sum of the samples."""
        return 1000 * len(self.samples_ms) / sum(self.samples_ms)

    @property
    def variation(self) -> float:
        """Coefficient of variation of all samples."""
        return variation(self.samples_ms)

    @property
    def p50_interval_ms(self) -> Interval:
        """95 % bootstrap confidence interval of the median, within this run."""
        return median_interval(self.samples_ms)

    def to_json(self) -> dict[str, Any]:
        """Return the samples, and the derived figures beside them for other programs' sake."""
        ranks = {f"p{rank:g}_ms".replace(".", ""): _number(self.percentile_ms(rank)) for rank in (50, 90, 95, 99, 99.9)}
        return {
            **ranks,
            "p50_interval_ms": [_number(side) for side in self.p50_interval_ms],
            "variation": _number(self.variation),
            "throughput_fps": _number(self.throughput_fps),
            "count": len(self.samples_ms),
            "samples_ms": list(self.samples_ms),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Latency":
        """Read the samples; the rest follows from them."""
        latency = records.read(cls, value)
        if not latency.samples_ms or min(latency.samples_ms) <= 0:
            raise ValueError("samples_ms needs at least one number, each above zero")
        return latency


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None  # JSON knows no NaN


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in bytes: the high-water mark (VmHWM), and the same before the engine was imported.

    ``phases`` has the mark within each phase if the kernel lets it be reset, ``pss_bytes`` the share of this
    process (PSS) after the timed runs, ``available_drop_bytes`` how far MemAvailable fell, on boards whose GPU
    shares the memory.
    """

    peak_bytes: int
    baseline_bytes: int
    pss_bytes: int | None = None
    available_drop_bytes: int | None = None
    phases: Mapping[str, int] = field(default_factory=dict)

    @property
    def over_baseline_bytes(self) -> int:
        """What the engine, the model and the run added."""
        return self.peak_bytes - self.baseline_bytes

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {**records.written(self), "over_baseline_bytes": self.over_baseline_bytes}


def title(artifact: Mapping[str, Any], machine: Mapping[str, Any]) -> str:
    """Return what to call a measurement of an artifact on a machine."""
    device = machine.get("device")
    return f"{artifact.get('name')} on {device}" if device else str(artifact.get("name"))


@dataclass(frozen=True, slots=True)
class Report:
    """One profile of one artifact on one target.

    ``latency`` is the network alone: uint8 in, labels or logits out. ``stages`` are the steps of a frame's way and
    ``end_to_end``, timed together in a second series. ``cold_start_ms`` runs from the start of the process to the
    first result. ``warm_up`` has ``runs`` and ``stable``, ``stream`` what a constant stream met (frames, drops,
    deadline misses, frame age), ``conditions`` what was sampled along the run. ``reasons`` say why the
    measurement is invalid; a valid one has none. ``layers`` are times per layer, if asked for.
    ``executed_device`` is what the network ran on. ``gpu`` is the network's time on a GPU by the GPU's own events,
    copies to and from it left out; each sample is of the run that gave the same sample of ``latency``.
    """

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
    cold_start_ms: float | None = None
    warm_up: Mapping[str, Any] = field(default_factory=dict)
    stages: Mapping[str, Latency] = field(default_factory=dict)
    stream: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    layers: tuple[Mapping[str, Any], ...] = ()
    torch_imported: bool = False
    executed_device: str = PROCESSOR
    gpu: Latency | None = None

    @property
    def title(self) -> str:
        """The artifact's name, and the device's if it is not the one that asked."""
        return title(self.artifact, self.machine)

    @property
    def valid(self) -> bool:
        """Whether nothing makes the measurement invalid."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"report_version": REPORT_VERSION, "valid": self.valid, **records.written(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Report":
        """Read what ``to_json`` wrote; whether it is valid is worked out again.

        Raises:
            ArtifactError: a report of another version, or a field missing or of the wrong kind.
        """
        version = value.get("report_version")
        if version != REPORT_VERSION:
            raise ArtifactError(f"report has version {version}; this release reads {REPORT_VERSION}. Profile again")
        if value.get("emulated"):
            raise ArtifactError("report is of an emulated board, which times nothing. Profile on a real one")
        if value.get("partial"):
            raise ArtifactError(f"report is partial: {'; '.join(map(str, value.get('reasons', [])))}. Profile again")
        try:
            found = records.read(
                cls,
                {**value, "conditions": report_schema.conditions(value["conditions"])},
                ("executed_device", "gpu"),
                artifact=report_schema.Artifact,
                machine=report_schema.Machine,
                stream=report_schema.Stream,
                layers=tuple[Layer, ...],
            )
            reasons = found.reasons
            if value.get("valid") is False and not reasons:
                reasons = ("marked as invalid, without a reason",)
            by_todays_rules = validity.reasons(found.latency, found.conditions)
            layers = tuple(records.plain(layer) for layer in found.layers)
            return replace(found, reasons=tuple(dict.fromkeys((*reasons, *by_todays_rules))), layers=layers)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ArtifactError(f"report is not valid: {type(error).__name__} {error}") from error


def read_reports(path: Path) -> list[Report]:
    """Read a file with one report, or with several under ``reports``.

    Raises:
        ArtifactError: no such file, not a report, or one of another version.
    """
    value = read_json(path, "report")
    several = value["reports"] if isinstance(value.get("reports"), list) else [value]
    if not several or not all(isinstance(each, dict) for each in several):
        raise ArtifactError(f"report {path} holds no report")
    try:
        return [Report.from_json(each) for each in several]
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


class Reported(Protocol):
    """A report of any kind."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        ...


def reports_json(reports: Sequence[Reported]) -> dict[str, Any]:
    """Return what ``read_reports`` reads."""
    return reports[0].to_json() if len(reports) == 1 else {"reports": [report.to_json() for report in reports]}
