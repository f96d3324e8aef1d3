"""The page of an evaluation: figures, confusions, and the pictures with the lowest mIoU beside truth and errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.overlay import colour_mask
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.page import picture, write_page
from segfast_edge.prediction.evaluate import Compared, Evaluation
from segfast_edge.prediction.metrics import DEFINITION, ConfusionMatrix, summary

SHOWN = 40  # pictures
CONFUSIONS = 12  # pairs of classes
_WIDTH = 320  # pixels of a picture on the page, at most
_NOTED = 0.005  # of a picture's pixels: from here on it belongs to a confusion
_WRONG = np.array([220, 38, 38], np.uint8)
_NOT_COUNTED = np.array([30, 30, 30], np.uint8)


class Worst:
    """Keeps the pictures with the lowest mIoU while ``evaluate`` goes through a split; call it with each."""

    def __init__(self, shown: int = SHOWN) -> None:
        self._shown = shown
        self._kept: list[tuple[float, str, Compared]] = []

    def __call__(self, compared: Compared) -> None:
        """Take one picture."""
        miou = compared.matrix.miou
        if np.isnan(miou):
            return
        self._kept.append((miou, compared.name, replace(compared, frame=_small(compared.frame))))
        self._kept.sort(key=lambda each: each[:2])
        del self._kept[self._shown :]

    @property
    def pictures(self) -> list[Compared]:
        """Return what was kept, the lowest mIoU first."""
        return [compared for _, _, compared in self._kept]


class Beside:
    """Keeps what a second network predicts for chosen pictures."""

    def __init__(self, pictures: Sequence[Compared]) -> None:
        self._names = {each.name for each in pictures}
        self.predicted: dict[str, Labels] = {}

    def __call__(self, compared: Compared) -> None:
        """Take one picture."""
        if compared.name in self._names:
            self.predicted[compared.name] = compared.predicted


@dataclass(frozen=True, slots=True)
class Second:
    """A second evaluation of the same split, and what it predicted for the pictures shown."""

    evaluation: Evaluation
    predicted: Mapping[str, Labels]


def write_evaluation(page: Path, found: Evaluation, worst: Worst, second: Second | None = None) -> None:
    """Write the page, whole or not at all; ``second`` is shown beside each picture.

    Raises:
        ArtifactError: the page cannot be written.
    """
    confusions = _confusions(found.matrix)
    columns = ["picture", "ground truth", found.subject, "errors (red)"]
    if second is not None:
        columns += [second.evaluation.subject, "where both differ (red)"]
    write_page(
        page,
        "evaluation.html.j2",
        title="segfast-edge evaluate",
        lead=f"{found.subject} on {found.data}, split {found.split}, {found.frames} pictures; {found.protocol}.",
        summary=[_summary(each) for each in (found, *([second.evaluation] if second else []))],
        definition=DEFINITION,
        classes=_classes(found),
        names=found.matrix.classes.names,
        confusion=_shares(found.matrix),
        confusions=[text for text, _ in confusions],
        columns=columns,
        pictures=[
            _row(each, [pair for _, pair in confusions], found.matrix.classes, second) for each in worst.pictures
        ],
        legend=dict(zip(found.matrix.classes.names, found.matrix.classes.palette, strict=True)),
    )


def _summary(found: Evaluation) -> str:
    low, high = found.interval
    return f"{found.subject}: {summary(found.to_json())}, {low:.4f} to {high:.4f} over pictures drawn with replacement"


def _classes(found: Evaluation) -> list[list[str]]:
    figures = found.to_json()
    keys = ("iou", "recall", "precision", "dice")
    shown = {name: [figures[key][name] for key in keys] for name in found.matrix.classes.names}
    return [[name, *("–" if value is None else f"{value:.3f}" for value in values)] for name, values in shown.items()]


def _shares(matrix: ConfusionMatrix) -> list[list[str]]:
    """Return a row per true class: its name, and its pixels by predicted class as shares of the row."""
    counts = matrix.counts.astype(np.float64)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return [
        [name, *(f"{share:.1%}".replace("%", " %") if share >= 0.001 else "" for share in row)]
        for name, row in zip(matrix.classes.names, shares, strict=True)
    ]


def _confusions(matrix: ConfusionMatrix) -> list[tuple[str, tuple[int, int]]]:
    """Return the pairs (true, predicted) that cost the most pixels, with a line about each."""
    wrong = matrix.counts * (1 - np.eye(len(matrix.classes), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:CONFUSIONS]
    names, found = matrix.classes.names, []
    for true, predicted in (divmod(int(cell), len(names)) for cell in order):
        if wrong[true, predicted]:
            share = wrong[true, predicted] / matrix.counts[true].sum()
            found.append(
                (f"{names[true]} taken for {names[predicted]} ({share:.1%} of {names[true]})", (true, predicted))
            )
    return found


def _row(kept: Compared, pairs: Sequence[tuple[int, int]], classes: ClassSet, second: Second | None) -> dict[str, Any]:
    total = max(1, kept.matrix.pixels)
    wrong = (kept.true != kept.predicted) & _counted(kept.true, classes)
    shown = [
        kept.frame,
        _small(colour_mask(kept.true, classes)),
        _small(colour_mask(kept.predicted, classes)),
        _marked(kept.frame, wrong, ~_counted(kept.true, classes)),
    ]
    note = f"mIoU {kept.matrix.miou:.3f}"
    if second is not None and kept.name in second.predicted:
        other = second.predicted[kept.name]
        differ = other != kept.predicted
        shown += [_small(colour_mask(other, classes)), _marked(kept.frame, differ, np.zeros_like(differ))]
        note += f", both agree on {1 - differ.mean():.2%}"
    return {
        "name": kept.name,
        "note": note,
        "confusions": [number for number, pair in enumerate(pairs) if kept.matrix.counts[pair] / total >= _NOTED],
        "pictures": [picture(each) for each in shown],
    }


def _counted(true: Labels, classes: ClassSet) -> np.ndarray:
    return np.ones(true.shape, bool) if classes.ignored is None else true != classes.ignored


def _marked(frame: Frame, wrong: np.ndarray, left_out: np.ndarray) -> Frame:
    """Return the frame in dim grey with ``wrong`` pixels in red and pixels that do not count in near black."""
    grey = np.asarray(Image.fromarray(frame).convert("L").convert("RGB"))
    marked = (grey // 2 + 60).astype(np.uint8)
    size = (frame.shape[1], frame.shape[0])
    for mask, colour in ((left_out, _NOT_COUNTED), (wrong, _WRONG)):
        marked[np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))] = colour
    return marked


def _small(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    if width <= _WIDTH:
        return frame
    size = (_WIDTH, max(1, round(height * _WIDTH / width)))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))
