"""Batches whose content is a function of (seed, epoch, index), so that a training can continue anywhere exactly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data import Dataset
from segfast_edge.progress import Progress
from segfast_edge.training.distributed import World
from segfast_edge.training.free_memory import free_bytes as _free_bytes

Pixels = tuple[Frame, Labels]
Augment = Callable[[int, int, Callable[[int], Pixels]], Pixels]  # epoch, index, and how to read a native pair
Key = tuple[int, int]  # epoch and index
MEMORY_SHARE = 0.4  # of the memory that is free when the data is read


class Examples(data.Dataset[tuple[Tensor, Tensor]]):
    """Pairs of network-sized uint8 image (H x W x 3) and labels (H x W), by (epoch, index).

    Without augmentation a pair is decoded and resized once and kept; with it, the native frame is kept and
    ``augment`` gives the network-sized pair. What does not fit in memory is read again each time.
    """

    def __init__(self, dataset: Dataset, preprocess: Preprocess, *, augment: Augment | None = None) -> None:
        self._dataset = dataset
        self._preprocess = preprocess
        self._augment = augment
        self._kept: list[Pixels] = []

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def ready(self) -> bool:
        """Whether a pair costs no decoding and no augmentation."""
        return len(self._kept) == len(self) > 0 and self._augment is None

    def keep(self, world: World, progress: Progress) -> None:
        """Read into memory as many pairs as fit into ``MEMORY_SHARE`` of what is free, from the first on."""
        total, left = len(self), MEMORY_SHARE * _free_bytes() / world.local_size
        for index in range(total):
            pair = self._read(index)
            left -= pair[0].nbytes + pair[1].nbytes
            if left < 0:
                return
            self._kept.append(pair)
            progress(index + 1, total)

    def _read(self, index: int) -> Pixels:
        sample = self._dataset[index]
        if self._augment is not None:
            return sample.frame, sample.labels
        return self._preprocess.image(sample.frame), self._preprocess.labels(sample.labels)

    def _pair(self, index: int) -> Pixels:
        return self._kept[index] if index < len(self._kept) else self._read(index)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor]:
        epoch, index = key
        frame, labels = self._pair(index) if self._augment is None else self._augment(epoch, index, self._pair)
        return torch.from_numpy(np.array(frame)), torch.from_numpy(np.array(labels))


@dataclass(slots=True)
class Order(data.Sampler[list[Key]]):
    """This process's part of every global batch of one epoch, from ``start`` on.

    Each epoch is a new permutation; the last incomplete batch is left out, so that every process has the same
    number of samples and no batch normalisation sees a single one.
    """

    count: int
    batch_size: int
    seed: int
    world: World = field(default_factory=World)
    epoch: int = 0
    start: int = 0

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return max(1, self.count // self.batch_size)

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        for step in range(self.start, self.steps):
            batch = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield [(self.epoch, int(index)) for index in batch[self.world.rank :: self.world.size]]


def in_order(count: int, batch_size: int, world: World) -> list[list[Key]]:
    """Return this process's batches of a split read once from front to back, the last one perhaps smaller."""
    keys = [(0, index) for index in range(world.rank, count, world.size)]
    return [keys[first : first + batch_size] for first in range(0, len(keys), batch_size)]
