"""Metrics: all figures from one confusion matrix, and their confidence interval over pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.images import Labels
from segfast_edge.errors import DataError

Counts = npt.NDArray[np.int64]
Ratios = npt.NDArray[np.float64]
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
    def iou(self) -> Ratios:
        """Intersection over union per class, 0 to 1; NaN if a class is neither true nor predicted anywhere."""
        correct, true, predicted = self._sums()
        return _ratio(correct, true + predicted - correct)

    @property
    def recall(self) -> Ratios:
        """Share of each class's true pixels that were found (also called class accuracy); NaN without any."""
        correct, true, _ = self._sums()
        return _ratio(correct, true)

    @property
    def precision(self) -> Ratios:
        """Share of the pixels predicted as each class that are of it; NaN if it was never predicted."""
        correct, _, predicted = self._sums()
        return _ratio(correct, predicted)

    @property
    def dice(self) -> Ratios:
        """Dice coefficient (F1) per class, 0 to 1; NaN if a class is neither true nor predicted anywhere."""
        correct, true, predicted = self._sums()
        return _ratio(2 * correct, true + predicted)

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur in ground truth or prediction, as is usual on CamVid."""
        return _mean(self.iou)

    @property
    def frequency_weighted_iou(self) -> float:
        """IoU averaged over classes by their share of the true pixels; NaN when nothing was counted."""
        _, true, _ = self._sums()
        return float(np.nansum(self.iou * true) / true.sum()) if self.pixels else float("nan")

    def _sums(self) -> tuple[Ratios, Ratios, Ratios]:
        """Return per class the correct, the true and the predicted pixels."""
        counts = self.counts.astype(np.float64)
        return np.diag(counts), counts.sum(1), counts.sum(0)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain JSON values; an absent class has null."""
        names = self.classes.names
        figures = {"iou": self.iou, "recall": self.recall, "precision": self.precision, "dice": self.dice}
        return {
            "pixel_accuracy": _number(self.pixel_accuracy),
            "miou": _number(self.miou),
            "mean_class_accuracy": _number(_mean(self.recall)),
            "mean_dice": _number(_mean(self.dice)),
            "frequency_weighted_iou": _number(self.frequency_weighted_iou),
            **{key: dict(zip(names, map(_number, values), strict=True)) for key, values in figures.items()},
            "pixels": self.pixels,
        }


def interval(counts: Counts, *, share: float = 0.95, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Return bounds between which the mIoU lies for ``share`` of the draws of as many pictures, with replacement.

    ``counts`` holds one confusion matrix per picture: pictures x classes x classes. Pictures of one drive resemble
    each other, so the bounds say what other pictures of the same drives would give, not what another drive would.
    """
    pictures, size, _ = counts.shape
    draws = np.random.default_rng(seed).multinomial(pictures, np.full(pictures, 1 / pictures), resamples)
    summed = (draws.astype(np.float64) @ counts.reshape(pictures, -1)).reshape(resamples, size, size)
    correct = summed.diagonal(axis1=1, axis2=2)
    iou = _ratio(correct, summed.sum(1) + summed.sum(2) - correct)
    low, high = np.quantile(np.nanmean(iou, 1), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


@dataclass(slots=True)
class BoundaryScore:
    """The accuracy of borders between classes: F1 of border pixels within ``reach`` pixels, summed over frames.

    A border pixel of a class has a neighbour above, below, left or right of another class; it is met where the other
    picture has a border pixel of the same class at most ``reach`` rows and columns away. Ground truth's ignored pixels,
    and their neighbours within ``reach``, are left out on both sides.
    """

    classes: ClassSet
    reach: int = 3
    met: Counts = field(default_factory=lambda: np.zeros(0, np.int64))

    def __post_init__(self) -> None:
        if self.met.size == 0:  # per class: true borders met, true borders, predicted borders met, predicted borders
            self.met = np.zeros((len(self.classes), 4), np.int64)

    def update(self, labels: Labels, predicted: Labels) -> None:
        """Add one frame: ground truth and prediction, height x width."""
        ignored = self.classes.ignored
        counted = np.ones(labels.shape, bool) if ignored is None else ~_widened(labels == ignored, self.reach)
        for number in range(len(self.classes)):
            true, guess = _border(labels == number) & counted, _border(predicted == number) & counted
            if not (true.any() or guess.any()):
                continue
            found = (true & _widened(guess, self.reach)).sum(), true.sum(), (guess & _widened(true, self.reach)).sum()
            self.met[number] += (*found, guess.sum())

    @property
    def f1(self) -> Ratios:
        """F1 per class, 0 to 1; NaN if a class has no border in either."""
        met = self.met.astype(np.float64)
        recall, precision = _ratio(met[:, 0], met[:, 1]), _ratio(met[:, 2], met[:, 3])
        both = np.nan_to_num(recall) + np.nan_to_num(precision)
        score = _ratio(2 * np.nan_to_num(recall) * np.nan_to_num(precision), both)
        absent = (met[:, 1] + met[:, 3]) == 0
        return np.where(absent, np.nan, np.nan_to_num(score))

    @property
    def mean(self) -> float:
        """F1 averaged over the classes that have a border; NaN without any."""
        return _mean(self.f1)


def _border(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    found = np.zeros_like(inside)
    down, right = inside[1:] != inside[:-1], inside[:, 1:] != inside[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= right
    found[:, :-1] |= right
    return found & inside


def _widened(marked: npt.NDArray[np.bool_], reach: int) -> npt.NDArray[np.bool_]:
    """Mark what lies at most ``reach`` rows and columns from a marked pixel."""
    for axis in (0, 1):
        wide = np.moveaxis(marked.copy(), axis, 0)
        source = np.moveaxis(marked, axis, 0)
        for step in range(1, min(reach, source.shape[0] - 1) + 1):
            wide[step:] |= source[:-step]
            wide[:-step] |= source[step:]
        marked = np.moveaxis(wide, 0, axis)
    return marked


def _ratio(part: Ratios, whole: Ratios) -> Ratios:
    ratio: Ratios = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return ratio


def _mean(values: Ratios) -> float:
    present = ~np.isnan(values)
    return float(values[present].mean()) if present.any() else float("nan")


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


def summary(figures: Mapping[str, Any]) -> str:
    """Put what ``to_json`` gave into one line: accuracy in percent and mIoU as the paper writes them."""
    accuracy, miou = figures["pixel_accuracy"], figures["miou"]
    if accuracy is None or miou is None:
        return "no pixel counted"
    return f"pixel accuracy {100 * accuracy:.2f} %, mIoU {miou:.4f}"
