"""Measure artifacts, each in a fresh process of the device code."""

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.instruction_report import CountReport
from segfast_edge.contract.manifest import FILE_NAME, Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report
from segfast_edge.contract.shared.stopping import orderly
from segfast_edge.device.spawn import process
from segfast_edge.errors import ArtifactError, SegfastError, TargetError

AnyReport = TypeVar("AnyReport", bound=Report | CountReport)


def profile(artifact: Path, *, target: str = "x86", plan: ProfileOptions | None = None) -> Report:
    """Measure one artifact on this machine in a fresh process, without torch unless the artifact is TorchScript.

    Raises:
        ArtifactError: the artifact is missing, damaged or of another version.
        TargetError: this machine is not the target, its runtime is missing, or the process failed.
    """
    words = [
        "profile",
        str(artifact.resolve()),
        "--json",
        "--end-with-stdin",
        *_absolute(plan or ProfileOptions()).words(),
    ]
    with process(target, words) as child:
        assert child.stdout is not None, "its standard output was asked for"
        said = child.stdout.read()
    try:
        report = Report.from_json(json.loads(said))
    except ValueError as error:
        raise TargetError(f"the device process gave no report: {error}") from error
    if report.torch_imported and not engine_named(report.engine).imports_torch:
        raise TargetError(f"the process that profiled {artifact} imported torch, which the device code must not do")
    return report


@dataclass(frozen=True, slots=True)
class Measurements:
    """The results of several measurements: reports, and a line for each artifact or device that failed."""

    reports: tuple[Report | CountReport, ...]
    failures: tuple[str, ...]


def profile_all(
    artifacts: Sequence[Path], *, target: str, plan: ProfileOptions, announce: Callable[[str], None]
) -> Measurements:
    """Measure artifacts on this machine one after another; one that fails does not cost the figures of the others.

    An artifact given several times is measured as often. ``announce`` receives each step as text for people.
    """
    names = distinct_names(artifacts)
    reports: list[Report] = []
    failures: dict[Path, str] = {}
    with orderly():  # so that what was copied for a measurement goes with it
        for number, artifact in enumerate(artifacts, 1):
            if artifact in failures:
                continue  # a later round of what failed in an earlier one
            announce(f"measuring {artifact} ({number} of {len(artifacts)})")
            try:
                reports.append(named(profile(artifact, target=target, plan=plan), names[artifact]))
            except SegfastError as error:
                failures[artifact] = f"{names[artifact]}: {error}" if len(names) > 1 else str(error)
    return Measurements(tuple(reports), tuple(dict.fromkeys(failures.values())))


def named(report: AnyReport, name: str) -> AnyReport:
    """Return the report with another name of its artifact."""
    return replace(report, artifact={**report.artifact, "name": name})


def check_artifacts(artifacts: Sequence[Path]) -> None:
    """Hold every artifact to its manifest, so that a long measurement does not end at a name misspelt.

    Raises:
        ArtifactError: one is missing, damaged or of another version, or is a folder of artifacts.
    """
    for artifact in dict.fromkeys(artifacts):
        inside = sorted(str(each.parent) for each in artifact.glob(f"*/{FILE_NAME}"))
        if inside and not (artifact / FILE_NAME).is_file():
            raise ArtifactError(f"{artifact} is a folder of artifacts, not one. Name them: {' '.join(inside)}")
        Manifest.load(artifact)


def distinct_names(artifacts: Sequence[Path]) -> dict[Path, str]:
    """Name each artifact by its folder, and by as many folders above as tell it from the others; a link by its own."""
    parts = {each: Path(os.path.abspath(each)).parts for each in artifacts}  # noqa: PTH100 (resolve follows links)
    depth = dict.fromkeys(parts, 1)
    while True:
        names = {artifact: "/".join(parts[artifact][-depth[artifact] :]) for artifact in parts}
        shared = Counter(name for name, _ in {(names[each], parts[each]) for each in parts})
        alike = [each for each in parts if shared[names[each]] > 1 and depth[each] < len(parts[each])]
        if not alike:
            return names
        for each in alike:
            depth[each] += 1


def _absolute(plan: ProfileOptions) -> ProfileOptions:
    """Return the plan with paths that the process finds from its own folder."""
    return replace(plan, input=_resolved(plan.input), samples=_resolved(plan.samples))


def _resolved(path: str) -> str:
    return str(Path(path).resolve()) if path else ""
