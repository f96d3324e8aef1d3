"""The picture of a training: loss, and mIoU on val, over the epochs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from segfast_edge.contract.shared.files import replacing_file


def draw(history: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the records of ``metrics.jsonl`` into a PNG; does nothing for an empty history."""
    if not history:
        return
    epochs = [record["epoch"] for record in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [record["loss"] for record in history], color="tab:blue")
    left.set(title="training loss", xlabel="epoch", yscale="log")
    seen = [record for record in history if record["val"] is not None]
    for key, colour, label in (("miou", "tab:orange", "mIoU"), ("pixel_accuracy", "tab:green", "pixel accuracy")):
        values = [float("nan") if record["val"][key] is None else record["val"][key] for record in seen]
        right.plot([record["epoch"] for record in seen], values, color=colour, label=label)
    if seen:
        best = max(seen, key=lambda record: record["val"]["miou"] or 0)
        right.plot(best["epoch"], best["val"]["miou"] or 0, "o", color="tab:red", label=f"best, epoch {best['epoch']}")
    right.set(title=f"val ({history[-1]['protocol']})", xlabel="epoch", ylim=(0, 1))
    right.title.set_fontsize(9)
    right.legend(loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    with replacing_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def draw_beside(histories: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw the loss and the mIoU on val of several trainings, by name, into a PNG."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name, history in histories.items():
        left.plot([record["epoch"] for record in history], [record["loss"] for record in history], label=name)
        seen = [record for record in history if record["val"] is not None]
        right.plot([record["epoch"] for record in seen], [record["val"]["miou"] or 0 for record in seen], label=name)
    left.set(title="training loss", xlabel="epoch")
    right.set(title="mIoU on val", xlabel="epoch", ylim=(0, 1))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    with replacing_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
