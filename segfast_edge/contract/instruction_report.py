"""The report of an emulated board: counts of instructions, and no figure of time or power."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segfast_edge.contract import report_schema
from segfast_edge.contract.report import REPORT_VERSION, Report, title
from segfast_edge.contract.shared import records
from segfast_edge.contract.shared.bootstrap import percentile
from segfast_edge.errors import ArtifactError

_MACHINE_FIELDS = (
    "device",
    "architecture",
    "processor",
    "board",
    "system",
    "python",
    "c_library",
)  # true of an emulated machine
_INVALID = ("emulated board: nothing was timed",)


@dataclass(frozen=True, slots=True)
class CountReport:
    """Instructions of single inferences on one thread of an emulated board, in all and by kind.

    ``runs`` has one mapping per inference, kind to count, or nothing if the board's emulator does not count.
    """

    artifact: Mapping[str, Any]
    target: str
    engine: str
    executed_precision: str
    runs: tuple[Mapping[str, int], ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The artifact's name, and the device's."""
        return title(self.artifact, self.machine)

    @property
    def valid(self) -> bool:
        """Whether this is a valid measurement of time: never."""
        return False

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not."""
        return _INVALID

    @property
    def per_inference(self) -> dict[str, int]:
        """The median count of each kind."""
        kinds = self.runs[0] if self.runs else {}
        return {kind: round(percentile([run[kind] for run in self.runs], 50)) for kind in kinds}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = records.written(self)
        return {
            "report_version": REPORT_VERSION,
            "emulated": True,
            "valid": self.valid,
            "reasons": list(self.reasons),
            "threads": 1,
            "instructions": {"per_inference": self.per_inference, "runs": value.pop("runs")},
            **value,
            "machine": {name: self.machine[name] for name in _MACHINE_FIELDS if name in self.machine},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "CountReport":
        """Read what ``to_json`` wrote.

        Raises:
            ArtifactError: a report of another version, or a field missing or of the wrong kind.
        """
        version = value.get("report_version")
        if version != REPORT_VERSION:
            raise ArtifactError(f"report has version {version}; this release reads {REPORT_VERSION}. Profile again")
        try:
            counted = {**value, "runs": value["instructions"]["runs"]}
            return records.read(cls, counted, artifact=report_schema.Artifact, machine=report_schema.Machine)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ArtifactError(f"report is not valid: {type(error).__name__} {error}") from error


def any_report(value: Mapping[str, Any]) -> Report | CountReport:
    """Read a report of either kind; which one, it says itself."""
    return CountReport.from_json(value) if value.get("emulated") else Report.from_json(value)


def count_figures(report: CountReport) -> dict[str, str]:
    """Return what to show of a count, in order."""
    shown = {
        "engine": report.engine,
        "executed": report.executed_precision,
        "threads": "1",
        "emulated": "yes: no time, power or memory means anything there",
    }
    counts = report.per_inference.items()
    kinds = {kind if kind == "instructions" else f"- {kind}": f"{count:,}" for kind, count in counts}
    return shown | (kinds or {"instructions": "not counted: the board's emulator has no counter"})
