"""Measure artifacts, each in a fresh process of the device code."""

import json
from dataclasses import replace
from pathlib import Path

from segfast_edge.contract.plan import Plan
from segfast_edge.contract.report import Report
from segfast_edge.errors import TargetError
from segfast_edge.spawn import process


def profile(artifact: Path, *, target: str = "x86", plan: Plan | None = None) -> Report:
    """Measure one artifact on this machine in a fresh process, without torch unless the artifact is TorchScript.

    Raises:
        ArtifactError: the artifact is missing, damaged or of another version.
        TargetError: this machine is not the target, its runtime is missing, or the process failed.
    """
    words = ["profile", str(artifact.resolve()), "--json", "--leash", *_absolute(plan or Plan()).words()]
    with process(target, words) as child:
        assert child.stdout is not None, "its standard output was asked for"
        said = child.stdout.read()
    try:
        report = Report.from_json(json.loads(said))
    except ValueError as error:
        raise TargetError(f"the device process gave no report: {error}") from error
    if report.torch_imported and report.artifact["format"] != "torchscript":
        raise TargetError(f"the process that profiled {artifact} had torch in it; the device side must not import it")
    return report


def _absolute(plan: Plan) -> Plan:
    """Return the plan with paths that the process finds from its own folder."""
    return replace(plan, input=_resolved(plan.input), samples=_resolved(plan.samples))


def _resolved(path: str) -> str:
    return str(Path(path).resolve()) if path else ""
