"""Pixel accuracy and intersection over union, all from one confusion matrix."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.images import Labels
from segfast_edge.errors import DataError

Counts = npt.NDArray[np.int64]
DEFINITION = "mIoU: mean over the classes that occur in ground truth or prediction; all frames in one confusion matrix"


@dataclass(slots=True)
class ConfusionMatrix:
    """Counts of pixels by true class (row) and predicted class (column), over as many frames as are added.

    Pixels whose true label is ``classes.ignored`` are left out of every figure.
    """

    classes: ClassSet
    counts: Counts = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def __post_init__(self) -> None:
        size = len(self.classes)
        if self.counts.size == 0:
            self.counts = np.zeros((size, size), np.int64)
        if self.counts.shape != (size, size):
            raise DataError(f"confusion matrix is {self.counts.shape}; expected {size} x {size}")

    def update(self, labels: Labels, predicted: Labels) -> None:
        """Add frames: two integer arrays of one shape, ground truth and prediction.

        Raises:
            DataError: shapes differ, or a label is neither a class nor the ignored value.
        """
        if labels.shape != predicted.shape:
            raise DataError(f"labels are {labels.shape} and the prediction {predicted.shape}; they must match")
        size = len(self.classes)
        truth, guess = labels.ravel(), predicted.ravel()
        if self.classes.ignored is not None:
            counted = truth != self.classes.ignored
            truth, guess = truth[counted], guess[counted]
        for what, values in (("label", truth), ("predicted label", guess)):
            if values.size and not 0 <= int(values.min()) <= int(values.max()) < size:
                wrong = int(values.max()) if int(values.max()) >= size else int(values.min())
                raise DataError(f"{what} {wrong} is outside the {size} classes (0 to {size - 1})")
        cells = truth.astype(np.int64) * size + guess
        self.counts += np.bincount(cells, minlength=size * size).reshape(size, size)

    @property
    def pixels(self) -> int:
        """How many pixels were counted."""
        return int(self.counts.sum())

    @property
    def pixel_accuracy(self) -> float:
        """Correct over counted pixels, 0 to 1; NaN when nothing was counted."""
        return float(np.trace(self.counts) / self.pixels) if self.pixels else float("nan")

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """Intersection over union per class, 0 to 1; NaN where a class is neither true nor predicted anywhere."""
        correct = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(0) + self.counts.sum(1) - correct
        ratio: npt.NDArray[np.float64] = np.divide(correct, union, out=np.full(len(correct), np.nan), where=union > 0)
        return ratio

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur in ground truth or prediction, as is usual on CamVid."""
        iou = self.iou
        present = ~np.isnan(iou)
        return float(iou[present].mean()) if present.any() else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values; an absent class has null."""
        return {
            "pixel_accuracy": _number(self.pixel_accuracy),
            "miou": _number(self.miou),
            "iou": {name: _number(value) for name, value in zip(self.classes.names, self.iou, strict=True)},
            "pixels": self.pixels,
        }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def summary(figures: Mapping[str, Any]) -> str:
    """Put what ``to_json`` gave into one line: accuracy in percent and mIoU as the paper writes them."""
    accuracy, miou = figures["pixel_accuracy"], figures["miou"]
    if accuracy is None or miou is None:
        return "no pixel counted"
    return f"pixel accuracy {100 * accuracy:.2f} %, mIoU {miou:.4f}"
