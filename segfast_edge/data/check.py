"""What is in a dataset, and what is wrong with it."""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.classes import ClassSet
from segfast_edge.data import datasets, open_source
from segfast_edge.data.pairs import EVERYTHING, PairedDataset, PairedSource
from segfast_edge.data.sample import Dataset, Sample, Source
from segfast_edge.errors import DataError
from segfast_edge.progress import Progress

LAST = "folder"  # what any images/ and labels/ could be, so it is tried after the published layouts


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """One split: how many samples, how many pixels of each label value, sizes, and one line per thing wrong."""

    split: str
    samples: int
    pixels: npt.NDArray[np.int64]  # by label value, 256 of them
    sizes: Counter[tuple[int, int]]  # (height, width) -> samples
    problems: tuple[str, ...]

    def shares(self, classes: ClassSet) -> dict[str, float]:
        """Return each class's share of the labelled pixels, 0 to 1."""
        counted = self.pixels[: len(classes)]
        total = max(1, int(counted.sum()))
        return {name: int(count) / total for name, count in zip(classes.names, counted, strict=True)}

    def void_share(self, classes: ClassSet) -> float:
        """Return the share of all pixels that do not count, 0 to 1."""
        if classes.ignored is None:
            return 0.0
        return int(self.pixels[classes.ignored]) / max(1, int(self.pixels.sum()))


@dataclass(frozen=True, slots=True)
class Check:
    """A whole dataset, looked at."""

    name: str
    classes: ClassSet
    splits: tuple[SplitCheck, ...]

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, in order of split and name."""
        return [problem for split in self.splits for problem in split.problems]

    @property
    def absent(self) -> list[str]:
        """Classes that no pixel of any split has; no fault, but such a class can be neither learned nor measured."""
        total = sum((split.pixels for split in self.splits), np.zeros(256, np.int64))
        return [name for name, count in zip(self.classes.names, total, strict=False) if not count]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "dataset": self.name,
            "classes": self.classes.to_json(),
            "splits": {
                split.split: {
                    "samples": split.samples,
                    "sizes": {f"{high}x{wide}": count for (high, wide), count in sorted(split.sizes.items())},
                    "shares": split.shares(self.classes),
                    "void_share": split.void_share(self.classes),
                    "problems": list(split.problems),
                }
                for split in self.splits
            },
            "absent_classes": self.absent,
            "ok": not self.problems,
        }


def recognise(root: Path) -> tuple[str, Source]:
    """Return the dataset whose layout a folder has, and its name; published layouts come before a plain folder.

    Raises:
        DataError: no layout fits; the message is the plain folder's, which says what it looks for.
    """
    if not root.is_dir():
        raise DataError(f"no such folder: {root}")
    for name in sorted(datasets(), key=lambda name: name == LAST):
        try:
            source = open_source(name, root)
        except DataError:
            if name == LAST:
                raise
            continue
        if isinstance(source, PairedSource):  # what needs no folder would fit any
            return name, source
    raise DataError(f"{root} has the layout of no dataset; known: {', '.join(datasets())}")


def check(name: str, source: Source, progress: Progress) -> Check:
    """Read every sample of every split; ``progress`` is told samples done and in all."""
    opened = [_opened(source, split) for split in parts(source)]
    total = sum(len(dataset) for dataset, _ in opened)
    ticks = itertools.count(1)

    def tick() -> None:
        progress(next(ticks), total)

    return Check(name, source.classes, tuple(_look(dataset, problems, tick) for dataset, problems in opened))


def parts(source: Source) -> tuple[str, ...]:
    """Return the splits that together hold every sample once."""
    return (EVERYTHING,) if EVERYTHING in source.splits else source.splits


def _opened(source: Source, split: str) -> tuple[Dataset, list[str]]:
    """Open a split although partners may be missing; return it with a line for each that is."""
    if not isinstance(source, PairedSource):
        return source.open(split), []
    listing = source.listing(split)
    problems = [f"{split}: no label for {path}" for path in listing.without_label]
    problems += [f"{split}: no image for {path}" for path in listing.without_image]
    if not listing.pairs:
        problems.append(f"{split}: no pair of image and label")
    return PairedDataset(source, split, listing.pairs), problems


def readable(source: Source, split: str, count: int) -> list[Sample]:
    """Return up to ``count`` samples of a split, spread over it, leaving out what cannot be read."""
    dataset, _ = _opened(source, split)
    found: list[Sample] = []
    for index in np.linspace(0, max(0, len(dataset) - 1), min(count, len(dataset)), dtype=int):
        with contextlib.suppress(DataError):  # the check has named it already
            found.append(dataset[int(index)])
    return found


def _look(dataset: Dataset, problems: list[str], tick: Callable[[], None]) -> SplitCheck:
    pixels, sizes = np.zeros(256, np.int64), Counter[tuple[int, int]]()
    for counts, size, problem in _samples(dataset):
        tick()
        if problem:
            problems.append(f"{dataset.split}: {problem}")
        else:
            pixels += counts
            sizes[size] += 1
    if sizes and not pixels[: len(dataset.classes)].any():
        problems.append(f"{dataset.split}: no pixel counts, all labels are void")
    return SplitCheck(dataset.split, len(dataset), pixels, sizes, tuple(problems))


def _samples(dataset: Dataset) -> Iterator[tuple[npt.NDArray[np.int64], tuple[int, int], str]]:
    """Read all samples on all processors, decoding being most of the work; a problem takes a sample's place."""

    def read(index: int) -> tuple[npt.NDArray[np.int64], tuple[int, int], str]:
        try:
            labels = dataset[index].labels
        except DataError as error:
            return np.zeros(256, np.int64), (0, 0), str(error)
        return np.bincount(labels.ravel(), minlength=256), (labels.shape[0], labels.shape[1]), ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(read, range(len(dataset)))
