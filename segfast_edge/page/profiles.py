"""The page of one or several profiles: distribution, timeline, stages, layers, and accuracy against latency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segfast_edge.contract.layer_times import Layer, by_kind
from segfast_edge.contract.report import Report
from segfast_edge.contract.report_text import KIND_TITLES, LAYER_TITLES, figures, kind_rows, layer_rows
from segfast_edge.contract.shared.files import read_json
from segfast_edge.errors import ArtifactError
from segfast_edge.page import write_page

LAYERS_SHOWN = 25
_Scores = Mapping[str, tuple[float, str]]  # mIoU and the protocol it was obtained under, by the report's name


def write_profiles(page: Path, reports: Sequence[Report], evaluations: Sequence[Path] = ()) -> bool:
    """Write the page and return whether it has plots, which matplotlib draws; without it, the page is tables.

    ``evaluations`` are what ``segfast-edge evaluate --out`` wrote of the same artifacts.

    Raises:
        ArtifactError: an evaluation is not one, or belongs to no report; or the page cannot be written.
    """
    named = _names(reports)
    scores = _scores(evaluations, named)
    plots = _plots(named, scores)
    write_page(
        page,
        "profiles.html.j2",
        title="segfast-edge profile",
        lead=_lead(reports),
        summary=_summary(named, scores),
        invalid={name: report.reasons for name, report in named.items() if report.reasons},
        plots=plots,
        protocols=sorted({protocol for _, protocol in scores.values()}),
        layers={name: _layers(report) for name, report in named.items() if report.layers},
        every=_table(named, scores),
        machines=_machines(named),
    )
    return bool(plots)


def _plots(named: Mapping[str, Report], scores: _Scores) -> dict[str, Any]:
    """Return the plots as SVG text by their names, none of them if matplotlib is not installed."""
    try:
        from segfast_edge.page.plots import latency_bars, latency_percentiles, memory_bars, pareto, stage_bars
        from segfast_edge.page.timeline import timeline
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return {}
    points = {name: (named[name].latency.p50_ms, miou) for name, (miou, _) in scores.items()}
    return {
        "bars": latency_bars(named),
        "percentiles": latency_percentiles(named),
        "stages": stage_bars(named),
        "memory": memory_bars(named),
        "pareto": pareto(points) if len(points) > 1 else "",
        "timelines": {name: timeline(report) for name, report in named.items()},
    }


def _names(reports: Sequence[Report]) -> dict[str, Report]:
    """Name each report by its artifact and device; those of one name also by what tells them apart, or a number."""
    named: dict[str, Report] = {}
    for report in reports:
        alike = [_facts(each) for each in reports if each.title == report.title]
        telling = [fact for fact, *others in zip(_facts(report), *alike, strict=True) if len(set(others)) > 1]
        name = longer = ", ".join([report.title, *telling])
        number = 2
        while name in named:
            name, number = f"{longer} ({number})", number + 1
        named[name] = report
    return named


def _facts(report: Report) -> tuple[str, ...]:
    return report.target, report.engine, report.executed_precision, f"{report.threads} threads"


def _scores(evaluations: Sequence[Path], named: Mapping[str, Report]) -> _Scores:
    scores: dict[str, tuple[float, str]] = {}
    for path in evaluations:
        value = read_json(path, "evaluation")
        try:
            subject, found = Path(value["path"]), (float(value["miou"]), str(value["protocol"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is not what 'segfast-edge evaluate --out' writes") from error
        mine = [name for name, report in named.items() if _is_of(report, subject, value.get("sha256"))]
        if not mine:
            raise ArtifactError(f"{path} evaluates {subject.name}, which none of the profiles is of")
        scores |= dict.fromkeys(mine, found)
    if len({protocol for _, protocol in scores.values()}) > 1:
        raise ArtifactError("the evaluations were made under different protocols; figures of different ones never mix")
    return scores


def _is_of(report: Report, subject: Path, sha256: str | None) -> bool:
    """Say whether a report is of the artifact that was evaluated: by its model's checksum where both tell it."""
    known = report.artifact.get("sha256")
    if sha256 and known:
        return bool(sha256 == known)
    return Path(str(report.artifact.get("name"))).name == subject.name


def _lead(reports: Sequence[Report]) -> str:
    """Say in a line what was measured, where and when."""
    machines = sorted({str(each.machine.get("board") or each.machine.get("processor") or "?") for each in reports})
    times = sorted(filter(None, (str(report.conditions.get("started_at", "")) for report in reports)))
    days = sorted({time[:10] for time in (times[:1] + times[-1:])})
    count = "One measurement" if len(reports) == 1 else f"{len(reports)} measurements"
    return f"{count} on {', '.join(machines)}{', ' if days else ''}{' to '.join(days)}."


_COLUMNS = {
    "valid": "", "engine": "engine", "executed": "executed", "threads": "threads", "mIoU": "mIoU", "p50": "p50",
    "slower": "over the least", "p99": "p99", "throughput": "frames/s", "cold start": "cold start",
    "memory": "memory", "energy": "energy",
}  # fmt: skip


def _summary(named: Mapping[str, Report], scores: _Scores) -> list[list[str]]:
    """Return a row per report of what one looks for first, the head before; columns that are empty are left out."""
    fastest = min(report.latency.p50_ms for report in named.values())
    rows = []
    for name, report in named.items():
        shown = figures(report) | {"mIoU": f"{100 * scores[name][0]:.2f} %" if name in scores else ""}
        shown["valid"] = "valid" if report.valid else "invalid"
        shown["slower"] = f"{report.latency.p50_ms / fastest:.2f}x" if len(named) > 1 else ""
        rows.append([name, *(shown.get(column, "").removesuffix(" frames/s") for column in _COLUMNS)])
    kept = [place for place in range(len(_COLUMNS) + 1) if any(row[place] for row in rows)]
    return [[row[place] for place in kept] for row in (["", *_COLUMNS.values()], *rows)]


def _table(named: Mapping[str, Report], scores: _Scores) -> list[list[str]]:
    """Return rows of a name and a value per report, the head first."""
    columns = {name: figures(report) for name, report in named.items()}
    for name, (miou, _) in scores.items():
        columns[name] = {"mIoU": f"{100 * miou:.2f} %"} | columns[name]
    rows = dict.fromkeys(key for column in columns.values() for key in column)
    return [["", *columns], *([row, *(column.get(row, "") for column in columns.values())] for row in rows)]


def _layers(report: Report) -> dict[str, Any]:
    """Return the time per kind of layer, and the layers that take longest, each with its share of the time."""
    layers = [Layer.from_json(each) for each in report.layers]
    total = sum(layer.ms for layer in layers) or 1.0
    longest = sorted(range(len(layers)), key=lambda place: -layers[place].ms)[:LAYERS_SHOWN]
    rows = layer_rows(layers)
    return {
        "kind_titles": [*KIND_TITLES, ""],
        "kinds": [
            [*row, 100 * kind.ms / total] for row, (kind, _) in zip(kind_rows(layers), by_kind(layers), strict=True)
        ],
        "titles": [*LAYER_TITLES, ""],
        "longest": [[*rows[place], 100 * layers[place].ms / total] for place in longest],
        "count": len(layers),
    }


def _machines(named: Mapping[str, Report]) -> list[tuple[list[str], dict[str, Any]]]:
    """Return each machine once, with the reports taken on it."""
    found: list[tuple[list[str], dict[str, Any]]] = []
    for name, report in named.items():
        facts = {key: value for key, value in report.machine.items() if value is not None}
        if "memory_bytes" in facts:
            facts["memory"] = f"{facts.pop('memory_bytes') / 1e9:.1f} GB"
        alike = [names for names, known in found if known == facts]
        if alike:
            alike[0].append(name)
        else:
            found.append(([name], facts))
    return found
