"""Some of a split's samples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segfast_edge.contract.classes import ClassSet
from segfast_edge.data.sample import Dataset, Sample


@dataclass(frozen=True, slots=True)
class Subset:
    """The samples of ``whole`` at ``indexes``, as a dataset of the same name, split and classes."""

    whole: Dataset
    indexes: Sequence[int]

    @property
    def name(self) -> str:
        """The dataset's name as the command line takes it."""
        return self.whole.name

    @property
    def split(self) -> str:
        """The split's name."""
        return self.whole.split

    @property
    def classes(self) -> ClassSet:
        """The classes that the labels tell apart."""
        return self.whole.classes

    def __len__(self) -> int:
        return len(self.indexes)

    def __getitem__(self, index: int) -> Sample:
        return self.whole[self.indexes[index]]


def drawn_fraction(dataset: Dataset, fraction: float, seed: int) -> Dataset:
    """Return so much of a split, at least one sample, drawn by ``seed``; a larger fraction includes a smaller one."""
    if fraction == 1:
        return dataset
    order = np.random.default_rng(seed).permutation(len(dataset))
    return Subset(dataset, sorted(order[: max(1, round(fraction * len(dataset)))].tolist()))
