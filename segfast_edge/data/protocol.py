"""The two ways of counting, never mixed: what size, and whether void is a class."""

import dataclasses
import typing
from dataclasses import dataclass

import numpy as np

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.data.sample import Dataset, Sample
from segfast_edge.errors import DataError, unknown

VOID_NAME = "Unlabelled"
VOID_COLOUR = (0, 0, 0)
PAPER_SIZE = (224, 224)
ProtocolName = typing.Literal["paper", "standard"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol: input size in pixels, and whether void counts as a class.

    ``paper`` is that of the SegFast paper: 224 x 224 and void is a class like any other. ``standard`` is the
    dataset's published size with void left out of loss and metric.
    """

    name: ProtocolName
    height: int
    width: int
    void_as_class: bool

    @classmethod
    def named(cls, name: str, native_size: tuple[int, int], size: tuple[int, int] | None = None) -> "Protocol":
        """Return the protocol ``name`` for a dataset of ``native_size``; ``size`` (height, width) overrides its size.

        Raises:
            DataError: no such protocol.
        """
        if name == "paper":
            return cls("paper", *(size or PAPER_SIZE), void_as_class=True)
        if name == "standard":
            return cls("standard", *(size or native_size), void_as_class=False)
        raise DataError(unknown("protocol", name, typing.get_args(ProtocolName)))

    def preprocess(self) -> Preprocess:
        """Return the resizing this protocol asks for: bilinear for images, nearest for labels."""
        return Preprocess(self.height, self.width)

    def classes(self, published: ClassSet) -> ClassSet:
        """Return the classes counted: under ``void_as_class`` the void that ``published`` ignores becomes the last."""
        if not self.void_as_class or published.ignored is None:
            return published
        if VOID_NAME in published.names:
            raise DataError(f"class '{VOID_NAME}' already exists, beside ignored label {published.ignored}")
        return dataclasses.replace(
            published, names=(*published.names, VOID_NAME), palette=(*published.palette, VOID_COLOUR), ignored=None
        )

    def describe(self, classes: ClassSet) -> str:
        """Return the line that stands beside every figure; ``classes`` are those counted."""
        if classes.ignored is not None:
            void = "void ignored"
        elif VOID_NAME in classes.names:
            void = "void counted as a class"
        else:
            void = "every pixel labelled"
        return f"{self.name}: {self.height}x{self.width}, {len(classes)} classes, {void}"

    def apply(self, dataset: Dataset) -> Dataset:
        """Return ``dataset`` with its labels in the classes that this protocol counts."""
        counted = self.classes(dataset.classes)
        return dataset if counted == dataset.classes else _VoidCounted(dataset, counted)


def padding_label(classes: ClassSet) -> int | None:
    """Return the label for pixels that an augmentation makes up: ignored, else the void class, else None."""
    if classes.ignored is not None:
        return classes.ignored
    return classes.names.index(VOID_NAME) if VOID_NAME in classes.names else None


def check_counts(dataset: Dataset, preprocess: Preprocess) -> None:
    """Refuse a split in which no pixel counts at the network's size; void does not, even if it is a class.

    Raises:
        DataError: the split is empty, or all of it is void.
    """
    void = padding_label(dataset.classes)
    for index in range(len(dataset)):
        if void is None or (preprocess.labels(dataset[index].labels) != void).any():
            return
    if len(dataset) == 0:
        raise DataError(f"{dataset.name} has no frame in its {dataset.split} split")
    raise DataError(
        f"no pixel of {dataset.name} {dataset.split} counts: the labels of its {len(dataset)} frame(s) are all void, so"
        " there is nothing to learn or to measure. Look at them with: segfast-edge data check"
    )


@dataclass(frozen=True, slots=True)
class _VoidCounted:
    """A dataset whose ignored pixels are labelled as the class after its last."""

    published: Dataset
    classes: ClassSet

    @property
    def name(self) -> str:
        return self.published.name

    @property
    def split(self) -> str:
        return self.published.split

    def __len__(self) -> int:
        return len(self.published)

    def __getitem__(self, index: int) -> Sample:
        sample = self.published[index]
        ignored, void = self.published.classes.ignored, len(self.classes) - 1
        if ignored == void:
            return sample
        labels = np.where(sample.labels == ignored, np.uint8(void), sample.labels)
        return dataclasses.replace(sample, labels=labels)
