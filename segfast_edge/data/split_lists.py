"""Splits from text files with one picture a line, or from other splits put together."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from segfast_edge.contract.shared.files import sha256
from segfast_edge.data.pairs import EVERYTHING, Listing, Pair, PairedSource, joined
from segfast_edge.data.warn_once import warn_once
from segfast_edge.errors import DataError, unknown


def with_splits(source: PairedSource, root: Path, lists: Mapping[str, str]) -> PairedSource:
    """Return the dataset with some splits replaced; a value is a list file, or names of its splits joined by ``+``.

    Raises:
        DataError: neither a split nor a file, or a line that names no picture of the dataset.
    """
    made = {split: functools.partial(source.listing, text) for split, text in lists.items() if source.parts(text)}
    record: dict[str, Any] = {}
    for split in sorted(lists.keys() - made.keys()):  # read now, so that mistakes show before anything else
        path = _file(source, root, lists[split])
        listing = _read_list(path, source, root)
        made[split] = functools.partial(_same, listing)
        record[split] = {"sha256": sha256(path), "pictures": len(listing.pairs)}
    kept = {**source.record, "lists": record} if record else source.record
    return replace(source, listings={**source.listings, **made}, record=kept)


def whole(source: PairedSource) -> Listing:
    """Return all that a dataset has, each picture once."""
    splits = (EVERYTHING,) if EVERYTHING in source.splits else source.splits
    return joined([source.listing(split) for split in splits])


def _same(listing: Listing) -> Listing:
    return listing


def _file(source: PairedSource, root: Path, text: str) -> Path:
    for path in (Path(text), root / text):
        if path.is_file():
            return path
    raise DataError(f"'{text}' is not a list file, and {unknown('split', text, source.splits)}")


@dataclass(frozen=True, slots=True)
class _Index:
    """Finds a picture by its path below the dataset's folder, by the end of a longer path, or by its name."""

    by_path: Mapping[str, Pair]
    by_name: Mapping[str, Pair | None]  # None if two pictures share it

    @classmethod
    def of(cls, pairs: Sequence[Pair], root: Path) -> "_Index":
        by_name: dict[str, Pair | None] = {}
        for pair in pairs:
            for name in {pair.name, pair.image.name, pair.image.stem}:
                by_name[name] = pair if name not in by_name else None
        return cls({_below(pair.image, root): pair for pair in pairs}, by_name)

    def find(self, line: str) -> Pair | None:
        parts = PurePosixPath(line.replace("\\", "/")).parts
        ends = ("/".join(parts[at:]) for at in range(len(parts)))
        found = next((self.by_path[end] for end in ends if end in self.by_path), None)
        return found or self.by_name.get(line)


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _read_list(path: Path, source: PairedSource, root: Path) -> Listing:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read list {path}: {error}") from error
    index, pairs = _Index.of(whole(source).pairs, root), dict[Path, Pair]()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        pair = index.find(text) or index.find(text.split()[0])  # lists of pairs have the label in a second column
        if pair is None:
            raise DataError(f"list {path}, line {number}: '{text}' is not a picture with a label in {root}")
        if pair.image in pairs:
            warn_once(("listed twice", path), "list %s names %s twice; it counts once", path, text)
        pairs[pair.image] = pair
    if not pairs:
        raise DataError(f"list {path} names no picture")
    return Listing(tuple(pairs.values()))


def write_lists(lists: Mapping[str, Sequence[Pair]], folder: Path, root: Path) -> dict[Path, int]:
    """Write one list a split, named ``NAME.txt``, with paths below ``root``; return how many pictures each has.

    Raises:
        DataError: a list exists already, or the folder is not writable.
    """
    paths = {folder / f"{name}.txt": pairs for name, pairs in lists.items()}
    for path in paths:
        if path.exists():
            raise DataError(f"{path} exists already; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, pairs in paths.items():
            path.write_text("".join(f"{_below(pair.image, root)}\n" for pair in pairs), encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write lists to {folder}: {error.strerror or error}") from error
    return {path: len(pairs) for path, pairs in paths.items()}
