"""Splits that keep a drive, city or camera together, and how to see that a split does not."""

import functools
import hashlib
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segfast_edge.data.once import warn_once
from segfast_edge.data.pairs import EVERYTHING, VAL_SHARE, Listing, Pair, PairedDataset, PairedSource, joined
from segfast_edge.data.sample import Dataset, Source
from segfast_edge.data.split_lists import whole
from segfast_edge.errors import DataError, unknown

# names that tools and publishers give the folders of splits
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing"),
}

Groups = Mapping[str, tuple[Pair, ...]]
_NUMBERED = re.compile(r"^(.*?)(\d+)$")
_REGULAR = 0.5  # share of the steps between frame numbers that are alike, from which pictures are taken for a recording
_FEWEST = 5  # frames of a recording
_HEAD = 1 << 18  # bytes of a picture file that are compared
_TRIED = 2000  # frames for which the closest in the other split is looked for; it is an example


def groups(pairs: Sequence[Pair], pattern: str) -> Groups:
    """Return pairs by what ``pattern`` finds in their names: its first bracket, or all that it matches.

    Raises:
        DataError: not a regular expression, or a name in which it finds nothing.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise DataError(f"group={pattern} is not a regular expression: {error}") from error
    found: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        match = expression.search(pair.name)
        if match is None:
            raise DataError(f"group={pattern} finds nothing in the name '{pair.name}'")
        found[match.group(1 if expression.groups else 0) or ""].append(pair)
    return {name: tuple(members) for name, members in sorted(found.items())}


def divided_by_group(source: PairedSource, pattern: str, chosen: tuple[str, ...] = ()) -> PairedSource:
    """Divide train and val anew so that no group is in both; a published test split stays as it is.

    ``chosen`` are the groups that become val; without them, groups are drawn by a hash of their names until a fifth of
    the pictures is val.

    Raises:
        DataError: fewer than two groups, or one that is not there.
    """
    test = {split: listing for split, listing in source.listings.items() if split == "test"}
    rest = {split: listing for split, listing in source.listings.items() if split != "test"}
    everything = whole(replace(source, listings=rest))
    found = groups(everything.pairs, pattern)
    if len(found) < 2:
        raise DataError(f"group={pattern} puts all {len(everything.pairs)} pictures into one group; 2 are needed")
    for name in chosen:
        if name not in found:
            raise DataError(unknown("group", name, found))
    val = set(chosen) or _drawn(found)
    if len(val) == len(found):
        raise DataError(f"val-group names all {len(found)} groups, so nothing is left for train")
    parts = {
        EVERYTHING: everything,
        "train": Listing(tuple(pair for name, pairs in found.items() if name not in val for pair in pairs)),
        "val": Listing(tuple(pair for name, pairs in found.items() if name in val for pair in pairs)),
    }
    record = {**source.record, "groups": {"pattern": pattern, "val": sorted(val), "train": sorted(set(found) - val)}}
    fixed = {split: functools.partial(_given, listing) for split, listing in parts.items()}
    return replace(source, listings={**fixed, **test}, record=record)


def folds(source: PairedSource) -> dict[str, dict[str, tuple[Pair, ...]]]:
    """Return train and val for each group of a dataset that was divided by groups: val is the group, train the rest."""
    found = groups(source.listing(EVERYTHING).pairs, source.record["groups"]["pattern"])
    return {
        name: {"train": tuple(p for other in found if other != name for p in found[other]), "val": found[name]}
        for name in found
    }


def divided_by_folder(folders: Mapping[str, Callable[[], Listing]]) -> dict[str, Callable[[], Listing]]:
    """Add train and val to splits of other names, such as cities: a fifth of the folders, by a hash, becomes val."""
    if len(folders) < 2 or {EVERYTHING, "val"} & set(folders):
        return dict(folders)
    pairs = {name: listing().pairs for name, listing in folders.items()}
    val = _drawn(pairs)
    parts = {EVERYTHING: set(folders), "train": set(folders) - val, "val": val}
    together = {split: functools.partial(_all_of, folders, sorted(names)) for split, names in parts.items()}
    return {**together, **folders}


def _all_of(folders: Mapping[str, Callable[[], Listing]], names: Sequence[str]) -> Listing:
    return joined([folders[name]() for name in names])


def _given(listing: Listing) -> Listing:
    return listing


def _drawn(found: Groups) -> set[str]:
    """Draw groups by a hash of their names, none that would take val far beyond its share; at least the smallest."""
    wanted = VAL_SHARE * sum(map(len, found.values()))
    drawn, count = set[str](), 0
    for name in sorted(found, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if count < wanted and count + len(found[name]) <= 1.5 * wanted:
            drawn.add(name)
            count += len(found[name])
    return drawn or {min(found, key=lambda name: (len(found[name]), name))}


@dataclass(frozen=True, slots=True)
class Shared:
    """What names tell about recordings that two splits share: pictures of the second in them, and the closest pair."""

    pictures: int
    closest: tuple[str, str]  # names in the first and in the second split

    def describe(self, one: str, other: str, count: int) -> str:
        """Return the warning for splits of these names, the second of ``count`` pictures."""
        first, second = self.closest
        return (
            f"{self.pictures} of {count} pictures of {other} are of a drive that {one} has too, going by their names,"
            f" such as {first} ({one}) and {second} ({other}): figures on {other} flatter. Keep drives together with"
            " --group REGEX, such as '^[^_]+'"
        )


def shared_recordings(one: Iterable[str], other: Iterable[str]) -> Shared | None:
    """Find frames of one recording in two splits, by their names; None if there is no such recording.

    Names that differ in the number at their end alone are frames of a recording if these numbers have a usual step.
    """
    ones, others = _numbered(one), _numbered(other)
    shared = [
        prefix
        for prefix in sorted(ones.keys() & others.keys())
        if any(map(_regular, (ones[prefix], others[prefix], {**ones[prefix], **others[prefix]})))
    ]
    if not shared:
        return None
    pairs = [(ones[prefix], others[prefix], number) for prefix in shared for number in others[prefix]]
    near = [
        (min((abs(number - n), n) for n in first), first, second, number) for first, second, number in pairs[:_TRIED]
    ]
    (_, nearest), first, second, number = min(near, key=lambda found: found[0])
    return Shared(len(pairs), (first[nearest], second[number]))


def _numbered(names: Iterable[str]) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for name in sorted(names):
        if match := _NUMBERED.match(name):
            found[match.group(1)][int(match.group(2))] = name
    return found


def _regular(frames: Mapping[int, str]) -> bool:
    """Return whether frame numbers have a usual step, as those of a recording do."""
    numbers = sorted(frames)
    steps = Counter(after - before for before, after in itertools.pairwise(numbers))
    return len(numbers) >= _FEWEST and max(steps.values()) >= _REGULAR * len(numbers)


def warn_of_shared(one: PairedDataset, other: PairedDataset) -> None:
    """Warn if two splits have pictures in common or frames of one recording beside each other."""
    key = ("shared splits", one.source.name, one.split, other.split, one.pairs[0].image.parent)
    same = _same_files(one.pairs, other.pairs)
    if same:
        warn_once(
            (*key, "pictures"),
            "%d of %d pictures of %s are in %s too, such as %s: figures on %s show memory, not skill",
            len(same), len(other.pairs), other.split, one.split, same[0], other.split,
        )  # fmt: skip
        return
    names = [[pair.name for pair in split.pairs] for split in (one, other)]
    if shared := shared_recordings(*names):
        warn_once((*key, "frames"), "%s", shared.describe(one.split, other.split, len(other.pairs)))


def _same_files(ones: Sequence[Pair], others: Sequence[Pair]) -> list[str]:
    """Return the names in ``others`` of picture files that ``ones`` have too; only files of one size are read."""
    images = {pair.image for pair in ones}
    sizes: dict[int, list[Path]] = defaultdict(list)
    for image in images:
        sizes[image.stat().st_size].append(image)
    found = []
    for pair in others:
        alike = sizes.get(pair.image.stat().st_size, ())
        if pair.image in images or (alike and _head(pair.image) in map(_head, alike)):
            found.append(pair.name)
    return found


@functools.lru_cache(maxsize=4096)
def _head(path: Path) -> bytes:
    """Return a digest of a file's beginning, which for pictures of one size in bytes tells them apart."""
    with path.open("rb") as stream:
        return hashlib.blake2b(stream.read(_HEAD), digest_size=16).digest()


def training_splits(source: Source) -> tuple[Dataset, Dataset]:
    """Open train and val, and warn of what they share."""
    train, val = source.open("train"), source.open("val")
    if isinstance(train, PairedDataset) and isinstance(val, PairedDataset):
        warn_of_shared(train, val)
    return train, val


def recorded(source: Source) -> Mapping[str, Any]:
    """Return what was chosen of a dataset beyond its name, for the record of a run."""
    return source.record if isinstance(source, PairedSource) else {}
