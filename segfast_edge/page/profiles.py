"""The page of one or several profiles: distribution, timeline, stages, layers, and accuracy against latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segfast_edge.contract.figures import figures
from segfast_edge.contract.files import read_json
from segfast_edge.contract.report import Report
from segfast_edge.errors import ArtifactError
from segfast_edge.page import write_page
from segfast_edge.page.plots import latency_bars, latency_distribution, pareto, stage_bars, timeline

LAYERS_SHOWN = 25


def write_profiles(page: Path, reports: Sequence[Report], evaluations: Sequence[Path] = ()) -> None:
    """Write the page; ``evaluations`` are what ``segfast-edge evaluate --output`` wrote, matched by artifact name.

    Raises:
        ArtifactError: an evaluation is not one, or belongs to no report; or the page cannot be written.
    """
    named = _names(reports)
    scores = _scores(evaluations, named)
    points = {name: (named[name].latency.p50_ms, miou) for name, (miou, _) in scores.items()}
    write_page(
        page,
        "profiles.html.j2",
        title="segfast-edge profile",
        summary=_table(named, scores),
        void={name: report.reasons for name, report in named.items() if report.reasons},
        bars=latency_bars(named),
        distribution=latency_distribution(named),
        stages=stage_bars(named),
        pareto=pareto(points) if len(points) > 1 else "",
        protocols=sorted({protocol for _, protocol in scores.values()}),
        timelines={name: timeline(report) for name, report in named.items()},
        layers={name: _layers(report) for name, report in named.items() if report.layers},
        machines={name: dict(report.machine) for name, report in named.items()},
    )


def _names(reports: Sequence[Report]) -> dict[str, Report]:
    """Name each report by its artifact, with more where that repeats."""
    named: dict[str, Report] = {}
    for report in reports:
        plain = str(report.artifact["name"])
        longer = f"{plain}, {report.target}, {report.threads} threads, {report.executed_precision}"
        name = plain if sum(str(r.artifact["name"]) == plain for r in reports) == 1 else longer
        number = 2
        while name in named:
            name, number = f"{longer} ({number})", number + 1
        named[name] = report
    return named


def _scores(evaluations: Sequence[Path], named: Mapping[str, Report]) -> dict[str, tuple[float, str]]:
    scores: dict[str, tuple[float, str]] = {}
    for path in evaluations:
        value = read_json(path, "evaluation")
        try:
            artifact, found = Path(value["path"]).name, (float(value["miou"]), str(value["protocol"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is not what 'segfast-edge evaluate --output' writes") from error
        mine = [name for name, report in named.items() if report.artifact["name"] == artifact]
        if not mine:
            raise ArtifactError(f"{path} evaluates {artifact}, which none of the profiles is of")
        scores |= dict.fromkeys(mine, found)
    if len({protocol for _, protocol in scores.values()}) > 1:
        raise ArtifactError("the evaluations were made under different protocols; figures of different ones never mix")
    return scores


def _table(named: Mapping[str, Report], scores: Mapping[str, tuple[float, str]]) -> list[list[str]]:
    """Return rows of a name and a value per report, the head first."""
    columns = {name: figures(report) for name, report in named.items()}
    for name, (miou, _) in scores.items():
        columns[name] = {"mIoU": f"{100 * miou:.2f} %"} | columns[name]
    rows = dict.fromkeys(key for column in columns.values() for key in column)
    return [["", *columns], *([row, *(column.get(row, "") for column in columns.values())] for row in rows)]


def _layers(report: Report) -> dict[str, Any]:
    """Return the time per layer type, and the layers that take longest."""
    total = sum(layer["ms"] for layer in report.layers) or 1.0
    by_type: dict[str, float] = {}
    for layer in report.layers:
        by_type[layer["type"]] = by_type.get(layer["type"], 0.0) + layer["ms"]
    longest = sorted(report.layers, key=lambda layer: -layer["ms"])[:LAYERS_SHOWN]
    return {
        "types": [(name, ms, ms / total) for name, ms in sorted(by_type.items(), key=lambda item: -item[1])],
        "longest": [(layer["name"], layer["type"], layer["ms"], layer["ms"] / total) for layer in longest],
        "count": len(report.layers),
    }
