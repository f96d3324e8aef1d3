"""Datasets on disk: an image file and a label file for every sample."""

import functools
import hashlib
import os
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.images import Labels, read_labels
from segfast_edge.data.label_files import identity, translated
from segfast_edge.data.orientation import read_upright, turned_along
from segfast_edge.data.sample import Sample
from segfast_edge.errors import DataError, unknown

LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")  # lossless; a JPEG would invent classes along every edge
VAL_SHARE = 0.2
TOGETHER = {"trainval": ("train", "val")}  # other names of splits put together
EVERYTHING = "all"  # the split that holds train and val, of a dataset that has no splits of its own


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of one sample."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one split: pairs in order of name, and files whose partner is missing."""

    pairs: tuple[Pair, ...]
    without_label: tuple[Path, ...] = ()
    without_image: tuple[Path, ...] = ()

    def checked(self, what: str) -> "Listing":
        """Return the listing itself, or raise DataError if it is empty or a partner is missing."""
        for missing, partner in ((self.without_label, "label"), (self.without_image, "image")):
            if missing:
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                raise DataError(f"{what}: no {partner} for {missing[0]}{more}; every image needs one label file")
        if not self.pairs:
            raise DataError(f"{what}: no pictures found")
        return self


def joined(listings: Sequence[Listing]) -> Listing:
    """Put listings together, each pair once."""
    if len(listings) == 1:
        return listings[0]
    pairs = {pair.image: pair for listing in listings for pair in listing.pairs}
    return Listing(
        tuple(pairs.values()),
        tuple(path for listing in listings for path in listing.without_label),
        tuple(path for listing in listings for path in listing.without_image),
    )


def match(images: Iterable[tuple[str, Path]], labels: Iterable[tuple[str, Path]]) -> Listing:
    """Pair files by key; a key is the sample's name."""
    by_name, label_of = dict(images), dict(labels)
    both = sorted(by_name.keys() & label_of.keys())
    return Listing(
        tuple(Pair(name, by_name[name], label_of[name]) for name in both),
        tuple(by_name[name] for name in sorted(by_name.keys() - label_of.keys())),
        tuple(label_of[name] for name in sorted(label_of.keys() - by_name.keys())),
    )


def files_in(folder: Path, suffixes: Iterable[str]) -> list[tuple[str, Path]]:
    """Return (stem, path) of the files directly in ``folder`` that end so, sorted by name; hidden files are left out.

    Raises:
        DataError: no such folder, or two files share a stem.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}")
    wanted = tuple(suffixes)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in wanted or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path.name} have the same stem; keep one of them")
        found[path.stem] = path
    return list(found.items())


def files_below(folder: Path, ends: Sequence[str]) -> list[tuple[str, Path]]:
    """Return (name, path) of the files in ``folder`` and below whose names end so, sorted; hidden ones are left out.

    The name is the path below ``folder`` without the end, so that it is the same for an image and its label.

    Raises:
        DataError: no such folder, or two files share a name.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}")
    found: dict[str, Path] = {}
    for where, inside, files in os.walk(folder):
        inside[:] = [name for name in inside if not name.startswith(".")]
        for file in files:
            end = next((end for end in ends if file.lower().endswith(end.lower())), None)
            if end is None or file.startswith(".") or len(file) == len(end):
                continue
            path = Path(where, file)
            name = path.relative_to(folder).as_posix()[: -len(end)]
            if name in found:
                raise DataError(f"{found[name]} and {path.name} have the same stem; keep one of them")
            found[name] = path
    return sorted(found.items())


class LabelMap:
    """From the values in a label file to class ids; a value that is not listed is refused."""

    def __init__(self, mapping: Mapping[int, int], read: Callable[[Path], npt.NDArray[np.unsignedinteger]]) -> None:
        self._table = np.full(256, -1, np.int16)
        self._table[list(mapping)] = list(mapping.values())
        self._read = read

    @classmethod
    def identity(cls, classes: ClassSet) -> "LabelMap":
        """Class ids as they stand, and the ignored value."""
        return cls(identity(classes), read_labels)

    def read(self, path: Path) -> Labels:
        """Read a label file as class ids, uint8 height x width.

        Raises:
            DataError: not readable, or a value that stands for no class.
        """
        return translated(path, self._read(path), self._table)


class LabelReader(typing.Protocol):
    """Reads a label file as class ids."""

    def read(self, path: Path) -> Labels:
        """Return class ids, uint8 height x width; DataError if the file is not readable or says something else."""


@dataclass(frozen=True, slots=True)
class PairedSource:
    """A dataset on disk; ``listings`` finds the files of a split when it is asked for."""

    name: str
    classes: ClassSet
    size: tuple[int, int]
    listings: Mapping[str, Callable[[], Listing]]
    label_map: LabelReader
    convert: bool = False  # pictures that are not RGB, such as those with an alpha channel without meaning
    turn_labels: bool | None = None  # whether labels were drawn before EXIF turned their pictures; None: see their size
    record: Mapping[str, Any] = field(
        default_factory=dict
    )  # what was chosen beyond the dataset's name, for a run's record

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that are there."""
        return tuple(self.listings)

    def listing(self, split: str) -> Listing:
        """Return what is on disk for ``split``, complete or not; ``train+val`` are two splits put together."""
        parts = self.parts(split)
        if not parts:
            raise DataError(f"{self.name}: {unknown('split', split, self.listings)}")
        return joined([self.listings[part]() for part in parts])

    def parts(self, split: str) -> tuple[str, ...]:
        """Return the splits that ``split`` puts together, itself if it is one, none if it is not known."""
        names = (split,) if split in self.listings else TOGETHER.get(split, tuple(split.split("+")))
        return names if all(name in self.listings for name in names) else ()

    def open(self, split: str) -> "PairedDataset":
        """Open one split; DataError if it is not there or its files do not pair up."""
        return PairedDataset(self, split, self.listing(split).checked(f"{self.name} {split}").pairs)


@dataclass(frozen=True, slots=True)
class PairedDataset:
    """One split of a dataset on disk."""

    source: PairedSource
    split: str
    pairs: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.source.name

    @property
    def classes(self) -> ClassSet:
        """The classes of the labels."""
        return self.source.classes

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        pair, source = self.pairs[index], self.source
        frame, orientation = read_upright(pair.image, convert=source.convert)
        labels = source.label_map.read(pair.label)
        turn = source.turn_labels
        return Sample(
            pair.name, frame, turned_along(labels, pair.image, frame.shape, orientation=orientation, turn=turn)
        )


def split_listings(
    folders: Mapping[str, tuple[Path, Path]], image_suffixes: Iterable[str]
) -> dict[str, Callable[[], Listing]]:
    """Return a listing per split from its image and label folders, for the splits whose image folder exists."""
    suffixes = tuple(image_suffixes)
    return {
        split: functools.partial(_match_folders, images, labels, suffixes)
        for split, (images, labels) in folders.items()
        if images.is_dir()
    }


def _match_folders(images: Path, labels: Path, suffixes: tuple[str, ...]) -> Listing:
    return match(files_in(images, suffixes), files_in(labels, LABEL_SUFFIXES))


def divided(everything: Callable[[], Listing]) -> dict[str, Callable[[], Listing]]:
    """Split a dataset without splits: ``val`` is a fifth by a hash of the name, ``train`` the rest, ``all`` both."""
    return {
        EVERYTHING: everything,
        "train": lambda: _part(everything(), val=False),
        "val": lambda: _part(everything(), val=True),
    }


def _part(whole: Listing, *, val: bool) -> Listing:
    if len(whole.pairs) < 2:
        raise DataError(f"{len(whole.pairs)} picture(s) cannot be split into train and val; give at least 2")
    order = sorted(whole.pairs, key=lambda pair: hashlib.sha256(pair.name.encode()).digest())
    chosen = {pair.name for pair in order[: max(1, round(len(order) * VAL_SHARE))]}
    kept = tuple(pair for pair in whole.pairs if (pair.name in chosen) == val)
    return Listing(kept, whole.without_label, whole.without_image)


def existing_root(root: Path | None, dataset: str, layout: str) -> Path:
    """Return ``root``; DataError if the dataset needs one and it is missing. ``layout`` says what is expected."""
    if root is None:
        raise DataError(f"dataset {dataset} needs its folder: pass --data-root DIR with {layout}")
    if not root.is_dir():
        raise DataError(f"no such folder: {root}; dataset {dataset} needs one with {layout}")
    return root
