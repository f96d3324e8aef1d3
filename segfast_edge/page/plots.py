"""Plots as SVG text, drawn by matplotlib without a display."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure

from segfast_edge.contract.report import Latency, Report

INK, GRID = "#334155", "#e2e8f0"
COLOURS = ("#2563eb", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#64748b")
STAGES = ("read", "preprocess", "inference", "postprocess")
_WIDTH = 7.0  # inches


@contextmanager
def _style() -> Iterator[None]:
    settings: Any = {
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.edgecolor": GRID,
        "axes.labelcolor": INK,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=COLOURS),
        "grid.color": GRID,
        "legend.frameon": False,
        "xtick.color": INK,
        "ytick.color": INK,
        "svg.fonttype": "path",
        "svg.hashsalt": "segfast-edge",  # the same figures give the same bytes
    }
    with mpl.rc_context():
        mpl.rcParams.update(settings)
        yield


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # a page names no address
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    return text[text.index("<svg") :]


def latency_bars(reports: Mapping[str, Report]) -> str:
    """Draw each artifact's latency: a bar to the median, and a line from the median to the 99th percentile."""
    with _style():
        figure = Figure(figsize=(_WIDTH, 0.6 + 0.5 * len(reports)), layout="constrained")
        axes = figure.subplots()
        names = list(reports)
        medians = [reports[name].latency.p50_ms for name in names]
        tails = [reports[name].latency.p99_ms - reports[name].latency.p50_ms for name in names]
        axes.barh(names, medians, color=COLOURS[0], height=0.6)
        axes.errorbar(medians, names, xerr=[[0.0] * len(names), tails], fmt="none", ecolor=COLOURS[3], capsize=4)
        for name, median, tail in zip(names, medians, tails, strict=True):
            axes.annotate(f"  {median:.2f} ms", (median + tail, name), va="center", fontweight="bold")
        axes.margins(x=0.15)
        axes.set_xlabel("latency of one frame: median (bar) to 99th percentile (line), ms")
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        return _svg(figure)


def latency_distribution(reports: Mapping[str, Report]) -> str:
    """Draw the share of inferences that took at most so long; nothing is cut off."""
    with _style():
        figure = Figure(figsize=(_WIDTH, 3.2), layout="constrained")
        axes = figure.subplots()
        for name, report in reports.items():
            axes.ecdf(report.latency.samples_ms, label=name)
        axes.set_xscale("log")
        axes.set(xlabel="latency, ms (logarithmic)", ylabel="share of inferences")
        axes.legend(loc="lower right")
        return _svg(figure)


def timeline(report: Report) -> str:
    """Draw each inference over the time of the run, with clock frequency and temperature below where they are known."""
    moments = report.conditions.get("timeline", [])
    below = [(2, "temperature, °C"), (1, "clock, MHz")]
    known = [(place, name) for place, name in below if any(moment[place] is not None for moment in moments)]
    with _style():
        figure = Figure(figsize=(_WIDTH, 2.2 + 1.1 * len(known)), layout="constrained")
        rows = figure.subplots(1 + len(known), 1, squeeze=False, height_ratios=[2] + [1] * len(known))[:, 0]
        samples = report.latency.samples_ms
        ends = list(accumulate(samples))
        rows[0].plot([end / 1000 for end in ends], samples, ".", markersize=3)
        rows[0].set(xlabel="seconds of timed inference", ylabel="latency, ms", ylim=(0, None))
        for axes, (place, name) in zip(rows[1:], known, strict=True):
            points = [(moment[0], moment[place]) for moment in moments if moment[place] is not None]
            axes.plot(*zip(*points, strict=True), color=COLOURS[3 if place == 2 else 2])
            axes.set(xlabel="seconds of the whole measurement", ylabel=name)
        return _svg(figure)


def stage_bars(reports: Mapping[str, Report]) -> str:
    """Draw what each step of a frame's way takes, medians side by side; empty where no report has stages."""
    staged = {name: report.stages for name, report in reports.items() if report.stages}
    if not staged:
        return ""
    with _style():
        figure = Figure(figsize=(_WIDTH, 1.0 + 0.5 * len(staged)), layout="constrained")
        axes = figure.subplots()
        left = [0.0] * len(staged)
        for stage in STAGES:
            widths = [_median(stages, stage) for stages in staged.values()]
            axes.barh(list(staged), widths, left=left, height=0.6, label=stage)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_xlabel("median of each step, ms; their sum is not the median of the whole")
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        axes.legend(ncols=len(STAGES), loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.35 / len(staged)))
        return _svg(figure)


def _median(stages: Mapping[str, Latency], name: str) -> float:
    return stages[name].p50_ms if name in stages else 0.0


def pareto(points: Mapping[str, tuple[float, float]]) -> str:
    """Draw mIoU over median latency in ms; a line joins those that no other beats in both."""
    with _style():
        figure = Figure(figsize=(_WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        front = pareto_front(points)
        axes.plot([points[name][0] for name in front], [100 * points[name][1] for name in front], color=GRID, zorder=1)
        for name, (latency, miou) in points.items():
            axes.plot(latency, 100 * miou, "o", color=COLOURS[0] if name in front else COLOURS[5], zorder=2)
            axes.annotate(f" {name}", (latency, 100 * miou), va="bottom")
        axes.margins(0.15)
        axes.set(xlabel="median latency, ms", ylabel="mIoU, %")
        return _svg(figure)


def pareto_front(points: Mapping[str, tuple[float, float]]) -> Sequence[str]:
    """Return the names, fastest first, that no other beats in latency (lower) and mIoU (higher) at once."""
    front: list[str] = []
    for name in sorted(points, key=lambda each: (points[each][0], -points[each][1])):
        if not front or points[name][1] > points[front[-1]][1]:
            front.append(name)
    return front
