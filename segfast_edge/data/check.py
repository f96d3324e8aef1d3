"""The check of a dataset: its content, errors and likely mistakes."""

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.classes import ClassSet
from segfast_edge.data.fingerprint import Fingerprint, digest, fingerprint
from segfast_edge.data.label_files import LabelFiles, read_label_picture
from segfast_edge.data.mapping import MappedLabels
from segfast_edge.data.pairs import EVERYTHING, LabelMap, PairedDataset, PairedSource
from segfast_edge.data.sample import Dataset, Sample, Source
from segfast_edge.data.smoothed_labels import Slopes, slopes
from segfast_edge.data.suspicions import Seen, suspicions
from segfast_edge.errors import DataError
from segfast_edge.progress import Progress

SLOPES_READ = 200  # label files of a split that are looked at for smoothing


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
    """A whole dataset, looked at; ``warnings`` are what a training works with and may still be a mistake."""

    name: str
    classes: ClassSet
    splits: tuple[SplitCheck, ...]
    warnings: tuple[str, ...] = ()

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
            "warnings": list(self.warnings),
            "ok": not self.problems,
        }


def check(name: str, source: Source, progress: Progress) -> Check:
    """Read every sample of every split; ``progress`` receives the samples done and the total."""
    opened = [_opened(source, split) for split in parts(source)]
    total = sum(len(dataset) for dataset, _ in opened)
    ticks = itertools.count(1)

    def tick() -> None:
        progress(next(ticks), total)

    looks = [_look(dataset, problems, tick) for dataset, problems in opened]
    seen = [one for _, seen, _ in looks for one in seen]
    warnings = [line for _, _, lines in looks for line in lines]
    return Check(name, source.classes, tuple(split for split, _, _ in looks), (*warnings, *suspicions(source, seen)))


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


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one sample holds, or why it could not be read."""

    name: str
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    size: tuple[int, int] = (0, 0)
    problem: str = ""
    digest: bytes = b""
    fingerprint: Fingerprint | None = None


def _look(dataset: Dataset, problems: list[str], tick: Callable[[], None]) -> tuple[SplitCheck, list[Seen], list[str]]:
    pixels, sizes, seen = np.zeros(256, np.int64), Counter[tuple[int, int]](), []
    for reading in _readings(dataset):
        tick()
        if reading.problem:
            problems.append(f"{dataset.split}: {reading.problem}")
            continue
        pixels += reading.counts
        sizes[reading.size] += 1
        values = np.flatnonzero(reading.counts)
        seen.append(Seen(dataset.split, reading.name, reading.size, values, reading.digest, reading.fingerprint))
    if sizes and not pixels[: len(dataset.classes)].any():
        problems.append(f"{dataset.split}: no pixel counts, all labels are void")
    warnings = []
    smoothed = _slopes(dataset)
    if smoothed.suspect:
        line = (
            f"{dataset.split}: the labels look smoothed: {smoothed.share:.0%} of the changes between pixels are steps"
            " of a slope from one class to another. Save them without antialiasing; resize them by nearest neighbour"
        )
        (problems.insert(0, line) if problems else warnings.append(line))  # the cause of values that stand for no class
    return SplitCheck(dataset.split, len(dataset), pixels, sizes, tuple(problems)), seen, warnings


def _readings(dataset: Dataset) -> Iterator[_Reading]:
    """Read all samples on all processors, decoding being most of the work; a problem takes a sample's place."""

    def read(index: int) -> _Reading:
        try:
            sample = dataset[index]
        except DataError as error:
            return _Reading("", problem=str(error))
        labels, frame = sample.labels, sample.frame
        counts = np.bincount(labels.ravel(), minlength=256)
        size = labels.shape[0], labels.shape[1]
        return _Reading(sample.name, counts, size, "", digest(frame), fingerprint(frame))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(read, range(len(dataset)))


def _slopes(dataset: Dataset) -> Slopes:
    """Look at some label files as they are stored, which smoothing may have made unreadable as classes."""
    found = Slopes()
    if not isinstance(dataset, PairedDataset):
        return found
    reader = dataset.source.label_map
    if not isinstance(reader.reader if isinstance(reader, MappedLabels) else reader, LabelMap | LabelFiles):
        return found  # polygons and the like are drawn without smoothing
    for index in np.unique(np.linspace(0, len(dataset) - 1, SLOPES_READ).astype(int)) if len(dataset) else ():
        with contextlib.suppress(DataError):  # what cannot be read is named already
            found += slopes(read_label_picture(dataset.pairs[int(index)].label))
    return found
