"""Compare two measurements: the ratio of their medians, how sure it is, and a verdict."""

import operator
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from segfast_edge.contract.report import Latency, Report, read_reports
from segfast_edge.contract.shared.bootstrap import Interval, mean_median, median_ratio_interval
from segfast_edge.errors import ArtifactError, TargetError

ONE_RUN, INVALID = "cannot tell from one run", "invalid"
Verdict = Literal["faster", "slower", "no difference", "cannot tell from one run", "invalid"]
INFERENCE = "inference"

# What two reports should have in common for their ratio to be about the artifact
_SAME = ("target", "engine", "executed_precision", "threads")


@dataclass(frozen=True, slots=True)
class Runs:
    """All reports of one artifact on one device in one file; several are repeated runs, each in its own process.

    ``left_out`` counts the invalid runs that were measured but are not in ``reports``.
    """

    file: str
    name: str
    reports: tuple[Report, ...]
    left_out: int = 0

    @property
    def device(self) -> str | None:
        """The device's name, if it is not the one that asked."""
        return self.reports[0].machine.get("device")

    @property
    def sha256(self) -> str | None:
        """The checksum of the artifact's model, if it is known."""
        return self.reports[0].artifact.get("sha256")

    @property
    def folder(self) -> tuple[str, ...]:
        """The artifact's folder, and as many above as its name tells; the innermost first."""
        return tuple(reversed(str(self.reports[0].artifact.get("name")).split("/")))

    @property
    def invalid(self) -> list[str]:
        """Why runs are invalid, or that invalid ones were left out; a line each."""
        which, total = f"{self.file} {self.name}", len(self.reports) + self.left_out
        if self.left_out:
            return [f"{which}: {self.left_out} of {total} runs are invalid and were left out"]
        bad = [report for report in self.reports if not report.valid]
        count = "is invalid" if total == 1 else f"has {len(bad)} invalid of {total} runs"
        return [f"{which} {count}: {reason}" for reason in sorted({each for run in bad for each in run.reasons})]

    def valid_only(self) -> "Runs":
        """Return the runs without the invalid ones; unchanged if none is valid."""
        valid = tuple(report for report in self.reports if report.valid)
        return replace(self, reports=valid, left_out=len(self.reports) - len(valid)) if valid else self

    def samples(self, stage: str) -> list[tuple[float, ...]]:
        """Return each run's samples of a stage in milliseconds."""
        return [_stage(report, stage, self.file).samples_ms for report in self.reports]


def _stage(report: Report, stage: str, file: str) -> Latency:
    if stage == INFERENCE:
        return report.latency
    if stage not in report.stages:
        known = ", ".join(sorted({INFERENCE, *report.stages}))
        raise ArtifactError(f"report {file} has no stage '{stage}'; it has {known}")
    return report.stages[stage]


def read_runs(path: Path) -> dict[str, Runs]:
    """Read a file of reports, by the names of artifact and device.

    Raises:
        ArtifactError: no such file, not a report, one of another version, or two artifacts of one name.
    """
    grouped: dict[str, list[Report]] = {}
    for report in read_reports(path):
        grouped.setdefault(report.title, []).append(report)
    for name, reports in grouped.items():
        if len({report.artifact.get("sha256") for report in reports}) > 1:
            raise ArtifactError(f"report {path} has different artifacts that are all called {name}; profile them apart")
    return {name: Runs(str(path), name, tuple(reports)) for name, reports in grouped.items()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One artifact's runs against the base's, in one stage.

    ``times_ms`` are the medians of base and other, or their percentile ``rank``, and ``ratio`` is the other's over the
    base's (above 1 is slower). ``interval`` is its 95 % confidence interval by what differs from process to process;
    None with one run on a side. ``noise`` is the relative difference below which two measurements count as equal,
    whatever the interval says. ``missing`` lists what is in the base's file only, ``added`` what in the other's only.
    """

    base: Runs
    other: Runs
    stage: str
    noise: float
    rank: float
    times_ms: tuple[float, float]
    interval: Interval | None
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    @classmethod
    def of(cls, base: Runs, other: Runs, question: "Question") -> "Comparison":
        """Compare two artifacts' runs."""
        if question.valid_only:
            base, other = base.valid_only(), other.valid_only()
        before, after = base.samples(question.stage), other.samples(question.stage)
        times = mean_median(before, question.rank), mean_median(after, question.rank)
        interval = median_ratio_interval(after, before, rank=question.rank)
        return cls(base, other, question.stage, question.noise, question.rank, times, interval)

    @property
    def ratio(self) -> float:
        """Time of the other over that of the base: above 1 is slower."""
        return self.times_ms[1] / self.times_ms[0]

    @property
    def verdict(self) -> Verdict:
        """Slower or faster only if the interval excludes 1 and the ratio is further from it than the noise.

        Invalid runs and single ones decide nothing.
        """
        if not all(report.valid for runs in (self.base, self.other) for report in runs.reports):
            return "invalid"
        if self.interval is None:
            return "cannot tell from one run"
        low, high = self.interval
        if low > 1 and self.ratio > 1 + self.noise:
            return "slower"
        if high < 1 and self.ratio < 1 - self.noise:
            return "faster"
        return "no difference"

    @property
    def decided(self) -> bool:
        """Whether there is a verdict on which of the two is faster."""
        return self.verdict not in (INVALID, ONE_RUN)

    @property
    def notes(self) -> list[str]:
        """What else differs between the two sides, and what is invalid or was not compared."""
        notes = []
        for name in _SAME:
            before, after = (
                {str(getattr(report, name)) for report in runs.reports} for runs in (self.base, self.other)
            )
            if before != after:
                notes.append(f"{name.replace('_', ' ')}: {_list(before)} against {_list(after)}")
        pinned = [
            {str(r.conditions.get("pinned_cores", "any")) for r in runs.reports} for runs in (self.base, self.other)
        ]
        if pinned[0] != pinned[1]:
            notes.append(f"pinned to cores: {_list(pinned[0])} against {_list(pinned[1])}")
        machines = [{str(r.machine.get("processor")) for r in runs.reports} for runs in (self.base, self.other)]
        if machines[0] != machines[1]:
            notes.append(f"processor: {_list(machines[0])} against {_list(machines[1])}")
        notes += [*self.base.invalid, *self.other.invalid]
        return notes + [f"{each}, and was not compared" for each in (*self.missing, *self.added)]

    def slower_by_more_than(self, limit: float) -> bool:
        """Say whether it is slower, and by more than ``limit`` (0.05 is 5 %)."""
        return self.verdict == "slower" and self.ratio > 1 + limit

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "base": {"file": self.base.file, "artifact": self.base.name, "runs": len(self.base.reports)},
            "other": {"file": self.other.file, "artifact": self.other.name, "runs": len(self.other.reports)},
            "stage": self.stage,
            f"base_p{self.rank:g}_ms": self.times_ms[0],
            f"other_p{self.rank:g}_ms": self.times_ms[1],
            "ratio": self.ratio,
            "interval": None if self.interval is None else list(self.interval),
            "verdict": self.verdict,
            "notes": self.notes,
        }


def _list(values: set[str]) -> str:
    return ", ".join(sorted(values))


@dataclass(frozen=True, slots=True)
class Question:
    """The figure to compare: a percentile of each run (the median, by default) of a stage.

    Ratios closer to 1 than ``noise`` count as no difference. ``valid_only`` leaves out invalid runs if a side has
    valid ones.
    """

    stage: str = INFERENCE
    noise: float = 0.02
    rank: float = 50
    valid_only: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= 99:
            raise TargetError(f"--rank {self.rank:g} is outside 1 to 99")


_USUAL = Question()


def compare(base: Path, others: Sequence[Path], question: Question = _USUAL) -> list[Comparison]:
    """Compare files of reports with ``base``, or without others the artifacts in ``base`` with its first one.

    A file with one artifact is compared with a base of one, whatever their names; otherwise artifacts of the same
    name are, and what is left of the same model, or if one name is the other's with fewer folders.

    Raises:
        ArtifactError: a file is not a report, or there is no stage of that name, or nothing to compare with.
    """
    base_runs = read_runs(base)
    if not others:
        first, *rest = base_runs.values()
        if not rest:
            raise ArtifactError(
                f"{base} has one artifact, {first.name}; give another report, or profile both in one call"
            )
        return [Comparison.of(first, each, question) for each in rest]
    found = []
    for path in others:
        runs = read_runs(path)
        pairs = _pairs(base_runs, runs)
        if not pairs:
            raise ArtifactError(f"{path} has no artifact in common with {base} ({', '.join(base_runs)})")
        compared = [Comparison.of(before, after, question) for before, after in pairs]
        missing, added = (_alone(side, [pair[n] for pair in pairs]) for n, side in enumerate((base_runs, runs)))
        found += [replace(each, missing=missing, added=added) for each in compared]
    return found


def _pairs(base: dict[str, Runs], other: dict[str, Runs]) -> list[tuple[Runs, Runs]]:
    """Return what to compare with what. How much of a name a profile tells depends on what else was profiled."""
    if len(base) == len(other) == 1:
        return [(next(iter(base.values())), next(iter(other.values())))]
    pairs = [(base[name], runs) for name, runs in other.items() if name in base]
    for alike in (_same_model, _same_folder):
        taken = [{pair[n].name for pair in pairs} for n in (0, 1)]
        left = [[runs for runs in side.values() if runs.name not in taken[n]] for n, side in enumerate((base, other))]
        found = [(before, after) for after in left[1] for before in left[0] if alike(before, after)]
        often = [Counter(pair[n].name for pair in found) for n in (0, 1)]
        pairs += [each for each in found if often[0][each[0].name] == often[1][each[1].name] == 1]
    return pairs


def _same_model(base: Runs, other: Runs) -> bool:
    return base.device == other.device and base.sha256 is not None and base.sha256 == other.sha256


def _same_folder(base: Runs, other: Runs) -> bool:
    return base.device == other.device and all(map(operator.eq, base.folder, other.folder))


def _alone(side: dict[str, Runs], paired: Sequence[Runs]) -> tuple[str, ...]:
    """Say what of a file has no partner in the other."""
    names = {runs.name for runs in paired}
    return tuple(f"{runs.name} is in {runs.file} only" for runs in side.values() if runs.name not in names)
