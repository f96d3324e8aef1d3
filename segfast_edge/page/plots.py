"""Plots as SVG text, drawn by matplotlib without a display."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from segfast_edge.contract.report import Latency, Report

# A page's own colours take the place of ink and grid, so that they follow its scheme; the others stand out from a light
# and a dark page alike, 3:1 or better (WCAG 1.4.11).
INK, GRID = "#334155", "#e2e8f0"
OF_THE_PAGE = {INK: "var(--ink)", GRID: "var(--line)"}
ALARM = "#ef4444"
COLOURS = ("#2563eb", "#d97706", "#059669", "#8b5cf6", "#ec4899", "#0891b2", "#65a30d", "#64748b")
STAGES = ("read", "preprocess", "inference", "postprocess")
WIDTH = 9.0  # inches
AS_PIXELS = 1000  # from so many points on they go into the SVG as one picture, which keeps a page small


@contextmanager
def style() -> Iterator[None]:
    """Draw within the block as all our plots are drawn."""
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


def svg(figure: Figure) -> str:
    """Return a figure as SVG text that a page takes in."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # a page names no address
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing, dpi=200)
    text = stream.getvalue()
    for ours, of_the_page in OF_THE_PAGE.items():
        text = text.replace(ours, of_the_page)
    return text[text.index("<svg") :]


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _plain_log(axis: Any) -> None:
    """Label a logarithmic axis with plain numbers at 1, 2 and 5."""
    low, high = axis.get_view_interval()
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    axis.set_major_locator(FixedLocator([n * 10.0**decade for decade in decades for n in (1, 2, 5)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(ScalarFormatter())


def latency_bars(reports: Mapping[str, Report]) -> str:
    """Draw each artifact's latency: every sample as a dot, a line at the median and one at the 99th percentile.

    What lies far beyond all 99.9th percentiles is given in words at the edge, so that it does not flatten the rest.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 0.9 + 0.62 * len(reports)), layout="constrained")
        axes = figure.subplots()
        edge = 1.05 * max(report.latency.percentile_ms(99.9) for report in reports.values())
        for row, report in enumerate(reports.values()):
            _strip(axes, row, report.latency, edge)
        axes.set_yticks(range(len(reports)), list(reports))
        axes.set(xlim=(0, 1.3 * edge), ylim=(len(reports) - 0.5, -0.5))
        axes.set_xlabel("latency of one inference, ms: each run a dot, the median blue, the 99th percentile red")
        axes.grid(visible=False, axis="y")
        return svg(figure)


def _strip(axes: Any, row: int, latency: Latency, edge: float) -> None:
    samples = np.asarray(latency.samples_ms)
    heights = row + 0.56 * ((np.arange(len(samples)) * 0.618034) % 1 - 0.5)  # spread evenly, the same every time
    inside = samples <= edge
    axes.plot(
        samples[inside], heights[inside], ".", markersize=6, alpha=0.3, color=COLOURS[7], mew=0,
        rasterized=len(samples) > AS_PIXELS,
    )  # fmt: skip
    median, high = latency.p50_ms, latency.p99_ms
    axes.plot([median, median], [row - 0.34, row + 0.34], color=COLOURS[0], linewidth=3)
    axes.plot([high, high], [row - 0.28, row + 0.28], color=ALARM, linewidth=1.5)
    axes.annotate(f"{median:.2f} ms", (1.01 * edge, row - 0.02), va="bottom", fontweight="bold", annotation_clip=False)
    far = samples[~inside]
    beyond = f"; {len(far)} beyond, most {far.max():.1f}" if len(far) else ""
    axes.annotate(f"p99 {high:.2f}{beyond}", (1.01 * edge, row + 0.06), va="top", fontsize=8)


def latency_percentiles(reports: Mapping[str, Report]) -> str:
    """Draw the latency that a share of the inferences does not exceed, with room for the tail; nothing is cut off."""
    with style():
        figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
        axes = figure.subplots()
        most = max(len(report.latency.samples_ms) for report in reports.values())
        for place, (name, report) in enumerate(reports.items()):
            samples = np.sort(report.latency.samples_ms)
            count = len(samples)
            rarity = count / (count - np.arange(count))  # 10: one in ten takes longer
            axes.step(rarity, samples, where="post", label=name, color=_colour(place))
        marks = {1: "least", 2: "p50", 10: "p90", 100: "p99", 1000: "p99.9", 10_000: "p99.99", 100_000: "p99.999"}
        shown = {mark: name for mark, name in marks.items() if mark <= most}
        axes.set_xscale("log")
        axes.set_xticks(list(shown), list(shown.values()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(xlabel="share of the inferences that take at most so long", ylabel="latency, ms", ylim=(0, None))
        longest = max(map(len, reports))
        figure.legend(loc="outside upper center", ncols=max(1, min(4, 120 // (longest + 8))))
        return svg(figure)


def stage_bars(reports: Mapping[str, Report]) -> str:
    """Draw what each step of a frame's way takes, medians side by side; empty if no report has stages."""
    staged = {name: report.stages for name, report in reports.items() if report.stages}
    if not staged:
        return ""
    with style():
        figure = Figure(figsize=(WIDTH, 1.2 + 0.45 * len(staged)), layout="constrained")
        axes = figure.subplots()
        left = [0.0] * len(staged)
        for stage, colour in zip(STAGES, (COLOURS[7], COLOURS[1], COLOURS[0], COLOURS[2]), strict=True):
            widths = [_median(stages, stage) for stages in staged.values()]
            if any(widths):
                axes.barh(list(staged), widths, left=left, height=0.6, label=stage, color=colour)
            left = [start + width for start, width in zip(left, widths, strict=True)]
        for row, stages in enumerate(staged.values()):
            axes.annotate(f"  {_median(stages, 'end_to_end'):.2f} ms", (left[row], row), va="center", fontweight="bold")
        axes.margins(x=0.12)
        axes.set_xlabel("median of each step, ms; in bold the median of the whole, which is not their sum")
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        figure.legend(ncols=len(STAGES), loc="outside upper center")
        return svg(figure)


def _median(stages: Mapping[str, Latency], name: str) -> float:
    return stages[name].p50_ms if name in stages else 0.0


def memory_bars(reports: Mapping[str, Report]) -> str:
    """Draw how far resident memory rose over the baseline, phase by phase; the peak of all in bold."""
    phases = list(dict.fromkeys(phase for report in reports.values() for phase in report.memory.phases))
    with style():
        figure = Figure(figsize=(WIDTH, 1.2 + 0.45 * len(reports)), layout="constrained")
        axes = figure.subplots()
        for row, report in enumerate(reports.values()):
            memory, reached = report.memory, 0.0
            for place, phase in enumerate(phases):
                rise = max(reached, (memory.phases.get(phase, 0) - memory.baseline_bytes) / 1e6)
                axes.barh(row, rise - reached, left=reached, height=0.6, color=_colour(place))
                reached = rise
            most = memory.over_baseline_bytes / 1e6
            axes.barh(row, most - reached, left=reached, height=0.6, color=GRID)
            axes.annotate(f"  {most:.1f} MB", (most, row), va="center", fontweight="bold")
        axes.set_yticks(range(len(reports)), list(reports))
        handles = [mpl.patches.Patch(color=_colour(place), label=phase) for place, phase in enumerate(phases)]
        if handles:
            figure.legend(handles=handles, ncols=len(phases), loc="outside upper center")
        axes.margins(x=0.12)
        axes.set_xlabel(
            "peak of resident memory over the process without the runtime, MB, and the phase that raised it"
        )
        axes.grid(visible=False, axis="y")
        axes.invert_yaxis()
        return svg(figure)


def pareto(points: Mapping[str, tuple[float, float]]) -> str:
    """Draw mIoU over median latency in ms; a line joins those that no other beats in both."""
    with style():
        figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
        axes = figure.subplots()
        front = pareto_front(points)
        axes.step(
            [points[name][0] for name in front], [100 * points[name][1] for name in front],
            where="post", color=COLOURS[0], alpha=0.35, linewidth=2, zorder=1,
        )  # fmt: skip
        ordered = sorted(points, key=lambda name: points[name])
        for place, name in enumerate(ordered):
            latency, miou = points[name][0], 100 * points[name][1]
            best = name in front
            axes.plot(latency, miou, "o", markersize=8, color=COLOURS[0] if best else COLOURS[7], zorder=2)
            above = place % 2 == 0  # neighbours of one mIoU would write over each other
            axes.annotate(
                f"{name}\n{latency:.1f} ms, {miou:.2f} %", (latency, miou), xytext=(0, 9 if above else -9),
                textcoords="offset points", ha="center", va="bottom" if above else "top", fontsize=8,
                fontweight="bold" if best else "normal",
            )  # fmt: skip
        axes.margins(0.18, 0.35)
        latencies = [latency for latency, _ in points.values()]
        if max(latencies) > 4 * min(latencies):
            axes.set_xscale("log")
            _plain_log(axes.xaxis)
        axes.set(xlabel="median latency, ms (left is better)", ylabel="mIoU, % (up is better)")
        return svg(figure)


def pareto_front(points: Mapping[str, tuple[float, float]]) -> Sequence[str]:
    """Return the names, fastest first, that no other beats in latency (lower) and mIoU (higher) at once."""
    front: list[str] = []
    for name in sorted(points, key=lambda each: (points[each][0], -points[each][1])):
        if not front or points[name][1] > points[front[-1]][1]:
            front.append(name)
    return front
