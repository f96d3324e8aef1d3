"""Accuracy of a checkpoint or an artifact on a labelled split: IoU and the other published figures.

Under ``standard`` labels are compared at each picture's own size, as published figures are: the network's labels are
enlarged as a device enlarges them. Under ``paper``, which is defined at 224 x 224, ground truth is brought to the
network's size, as in training.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.masks import mask_at
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data import Dataset, Protocol, native_size, open_dataset
from segfast_edge.data.protocol import check_counts
from segfast_edge.errors import DataError, SegfastError, unknown
from segfast_edge.prediction.metrics import DEFINITION, BoundaryScore, ConfusionMatrix, Counts, interval
from segfast_edge.prediction.predictor import NamedFrame, Predictor
from segfast_edge.progress import Progress

ComparedAt = Literal["own", "network"]
WORST = 10  # pictures that are listed by name


@dataclass(frozen=True, slots=True)
class Compared:
    """A picture, its ground truth and predicted labels at the size where they are compared, and what was counted."""

    name: str
    frame: Frame
    true: Labels
    predicted: Labels
    matrix: ConfusionMatrix


Seen = Callable[[Compared], None]


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The source of the ground truth; ``protocol`` is None for the one the network was trained under.

    ``size`` is where labels are compared: ``own`` (each picture's) or ``network``; None chooses by the protocol.
    """

    data: str
    root: Path | None = None
    split: str = "val"
    protocol: str | None = None
    size: ComparedAt | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size not in get_args(ComparedAt):
            raise SegfastError(unknown("size", self.size, get_args(ComparedAt)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one network on one split, and the protocol they were obtained under."""

    subject: str
    data: str
    split: str
    frames: int
    protocol: str
    matrix: ConfusionMatrix
    by_picture: Mapping[str, Counts]  # confusion matrices
    boundary: BoundaryScore

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the mIoU over pictures drawn with replacement; ``metrics.interval`` says what they mean."""
        return interval(np.stack(list(self.by_picture.values())))

    def worst(self, count: int | None = WORST) -> list[tuple[str, float]]:
        """Return the pictures with the lowest mIoU, the lowest first; ``count`` is None for all that have one."""
        each = [(name, ConfusionMatrix(self.matrix.classes, counts).miou) for name, counts in self.by_picture.items()]
        return sorted((pair for pair in each if not np.isnan(pair[1])), key=lambda pair: pair[1])[:count]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "subject": self.subject,
            "data": self.data,
            "split": self.split,
            "frames": self.frames,
            "protocol": self.protocol,
            **self.matrix.to_json(),
            "miou_interval": [round(bound, 6) for bound in self.interval],
            "boundary_f1": None if np.isnan(self.boundary.mean) else round(self.boundary.mean, 6),
            "boundary_reach": self.boundary.reach,
            "confusion": self.matrix.counts.tolist(),
            "worst": [{"picture": name, "miou": round(miou, 6)} for name, miou in self.worst()],
            "definition": DEFINITION,
        }


def evaluate(predictor: Predictor, truth: GroundTruth, progress: Progress, seen: Seen | None = None) -> Evaluation:
    """Run the split through the network and count; ``progress`` receives the frames done and the total.

    ``seen`` is called with every picture.

    Raises:
        SegfastError: no protocol is known, or the dataset and the network have different classes.
    """
    protocol = _protocol(predictor, truth)
    dataset = open_dataset(truth.data, truth.root, truth.split, protocol)
    _check_classes(predictor.classes, dataset, protocol)
    check_counts(dataset, predictor.preprocess)
    own = (truth.size or ("network" if protocol.name == "paper" else "own")) == "own"
    tally = _Tally(dataset.classes)
    expected: list[tuple[str, Frame, Labels]] = []  # of frames that are on their way through the network

    def frames() -> Iterator[NamedFrame]:
        for index in range(len(dataset)):
            sample = dataset[index]
            true = sample.labels if own else predictor.preprocess.labels(sample.labels)
            expected.append((sample.name, sample.frame, true))
            yield sample.name, sample.frame

    progress(0, len(dataset))
    with predictor.labels(frames()) as found:
        for done, labels in enumerate(found, 1):
            name, frame, true = expected.pop(0)
            predicted = mask_at(labels, (true.shape[0], true.shape[1]))
            matrix = tally.add(name, true, predicted)
            if seen is not None:
                seen(Compared(name, frame, true, predicted, matrix))
            progress(done, len(dataset))
    described = protocol.describe(dataset.classes) + (", compared at each picture's own size" if own else "")
    return tally.evaluation(predictor.described, truth, described)


class _Tally:
    """Figures of the pictures so far."""

    def __init__(self, classes: ClassSet) -> None:
        self._matrix, self._boundary = ConfusionMatrix(classes), BoundaryScore(classes)
        self._by_picture: dict[str, Counts] = {}

    def add(self, name: str, true: Labels, predicted: Labels) -> ConfusionMatrix:
        """Count one picture and return its own matrix; both labels have one size."""
        one = ConfusionMatrix(self._matrix.classes)
        one.update(true, predicted)
        self._matrix.counts += one.counts
        self._by_picture[name] = one.counts
        self._boundary.update(true, predicted)
        return one

    def evaluation(self, subject: str, truth: GroundTruth, protocol: str) -> Evaluation:
        """Return everything counted."""
        count = len(self._by_picture)
        figures = (self._matrix, self._by_picture, self._boundary)
        return Evaluation(subject, truth.data, truth.split, count, protocol, *figures)


def _protocol(predictor: Predictor, truth: GroundTruth) -> Protocol:
    """Return the protocol asked for, else the network's own, at the network's size."""
    name = truth.protocol or predictor.protocol.partition(":")[0]
    if not name:
        raise SegfastError(f"{predictor.described} does not name its protocol; pass --protocol paper or standard")
    return Protocol.named(name, native_size(truth.data, truth.root), predictor.preprocess.size)


def _check_classes(classes: ClassSet, dataset: Dataset, protocol: Protocol) -> None:
    ours, theirs = classes.names, dataset.classes.names
    if len(ours) != len(theirs):
        raise DataError(
            f"the network has {len(ours)} classes and {dataset.name} under protocol {protocol.name} has"
            f" {len(theirs)}; evaluate with the dataset and --protocol it was trained with"
        )
    for label, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine != other:
            raise DataError(
                f"class {label} is '{mine}' in the network and '{other}' in {dataset.name}; they must agree"
            )
