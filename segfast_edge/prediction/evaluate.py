"""Pixel accuracy, mIoU and per-class IoU of a checkpoint or an exported artifact on a labelled split.

Labels are compared at the network's size: ground truth is brought there by nearest neighbour, as in training.
At ``standard`` protocol that is the dataset's own size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.images import Labels
from segfast_edge.data import Dataset, Protocol, native_size, open_dataset
from segfast_edge.data.protocol import check_counts
from segfast_edge.errors import DataError, SegfastError
from segfast_edge.prediction.metrics import DEFINITION, ConfusionMatrix
from segfast_edge.prediction.predictor import Labeller, NamedFrame

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Truth:
    """Where the ground truth comes from; ``protocol`` is None for the one the network was trained under."""

    data: str
    root: Path | None = None
    split: str = "val"
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one network on one split, and the protocol they were obtained under."""

    subject: str
    data: str
    split: str
    frames: int
    protocol: str
    matrix: ConfusionMatrix

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "subject": self.subject,
            "data": self.data,
            "split": self.split,
            "frames": self.frames,
            "protocol": self.protocol,
            **self.matrix.to_json(),
            "definition": DEFINITION,
        }


def evaluate(labeller: Labeller, truth: Truth, progress: Progress) -> Evaluation:
    """Run the split through the network and count; ``progress`` is told the frames done and the total.

    Raises:
        SegfastError: no protocol is known, or the dataset and the network tell different classes apart.
    """
    protocol = _protocol(labeller, truth)
    dataset = open_dataset(truth.data, truth.root, truth.split, protocol)
    _check_classes(labeller.classes, dataset, protocol)
    check_counts(dataset, labeller.preprocess)
    matrix = ConfusionMatrix(dataset.classes)
    expected: list[Labels] = []  # of frames that are on their way through the network

    def frames() -> Iterator[NamedFrame]:
        for index in range(len(dataset)):
            sample = dataset[index]
            expected.append(labeller.preprocess.labels(sample.labels))
            yield sample.name, sample.frame

    progress(0, len(dataset))
    with labeller.labels(frames()) as found:
        for done, predicted in enumerate(found, 1):
            matrix.update(expected.pop(0), predicted)
            progress(done, len(dataset))
    described = protocol.describe(dataset.classes)
    return Evaluation(labeller.described, truth.data, truth.split, len(dataset), described, matrix)


def _protocol(labeller: Labeller, truth: Truth) -> Protocol:
    """Return the protocol asked for, else the network's own, at the network's size."""
    name = truth.protocol or labeller.protocol.partition(":")[0]
    if not name:
        raise SegfastError(f"{labeller.described} does not name its protocol; pass --protocol paper or standard")
    return Protocol.named(name, native_size(truth.data, truth.root), labeller.preprocess.size)


def _check_classes(classes: ClassSet, dataset: Dataset, protocol: Protocol) -> None:
    ours, theirs = classes.names, dataset.classes.names
    if len(ours) != len(theirs):
        raise DataError(
            f"the network tells {len(ours)} classes apart and {dataset.name} under protocol {protocol.name} has"
            f" {len(theirs)}; evaluate with the dataset and --protocol it was trained with"
        )
    for label, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine != other:
            raise DataError(
                f"class {label} is '{mine}' in the network and '{other}' in {dataset.name}; they must agree"
            )
