"""Samples of a dataset: pairs of a frame and its labels."""

import typing
from dataclasses import dataclass

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.errors import DataError


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame, uint8 height x width x 3 RGB, and its labels, uint8 height x width, at the same native size."""

    name: str
    frame: Frame
    labels: Labels

    def __post_init__(self) -> None:
        if self.frame.shape[:2] != self.labels.shape:
            high, wide = self.frame.shape[:2]
            size = "x".join(map(str, self.labels.shape))
            raise DataError(f"sample {self.name}: the image is {high}x{wide} and its labels {size} (height x width)")


class Dataset(typing.Protocol):
    """One split of one dataset; ``labels`` hold ids of ``classes``, or ``classes.ignored`` if it is a number."""

    @property
    def name(self) -> str:
        """The dataset's name as the command line takes it."""

    @property
    def split(self) -> str:
        """Train, val, test, or what the dataset calls it."""

    @property
    def classes(self) -> ClassSet:
        """The classes of the labels."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class Source(typing.Protocol):
    """A whole dataset, before a split and a protocol are chosen."""

    @property
    def classes(self) -> ClassSet:
        """Its classes, void not counted among them but given as ``ignored``."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels, at which results on it are published."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there."""

    def open(self, split: str) -> Dataset:
        """Open one split; DataError if it is not there or its files do not pair up."""
