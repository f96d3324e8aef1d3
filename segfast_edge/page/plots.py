"""Plots as SVG text, drawn by matplotlib without a display."""

import io
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segfast_edge.contract.report import Report

INK, GRID = "#334155", "#e2e8f0"
COLOURS = ("#2563eb", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#64748b")


@contextmanager
def _style() -> "Iterator[None]":
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
        "grid.color": GRID,
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
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def latency_bars(reports: Mapping[str, "Report"]) -> str:
    """Draw each artifact's latency: a bar to the median, and a line from the median to the 99th percentile."""
    with _style():
        figure = Figure(figsize=(7, 0.6 + 0.5 * len(reports)), layout="constrained")
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
