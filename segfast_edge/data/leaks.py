"""Pictures and drives that two splits share, found by files and names alone."""

import bisect
import functools
import hashlib
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.data.pairs import Pair, PairedDataset
from segfast_edge.data.sample import Dataset, Source
from segfast_edge.data.warn_once import warn_once

_NUMBERED = re.compile(r"^(.*?)(\d+)$")
_REGULAR = 0.5  # share of the steps between frame numbers that are alike, from which pictures are taken for a recording
_FEWEST = 5  # frames of a recording
_HEAD = 1 << 18  # bytes of a picture file that are compared


@dataclass(frozen=True, slots=True)
class Shared:
    """Recordings that two splits share, by their names: pictures of the second in them, and the closest pair."""

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
        if not ones[prefix].keys() & others[prefix].keys()  # then each split counts its own pictures from the start
        and any(map(_regular, (ones[prefix], others[prefix], {**ones[prefix], **others[prefix]})))
    ]
    if not shared:
        return None
    near = [
        (abs(number - nearest), ones[prefix][nearest], others[prefix][number])
        for prefix in shared
        for number, nearest in _nearest(sorted(ones[prefix]), sorted(others[prefix]))
    ]
    _, first, second = min(near, key=lambda found: found[0])
    return Shared(len(near), (first, second))


def _nearest(ours: Sequence[int], theirs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Give each of their numbers with the nearest of ours; both are sorted, and ours are not empty."""
    for number in theirs:
        at = bisect.bisect(ours, number)
        yield number, min(ours[max(0, at - 1) : at + 1], key=lambda n: abs(number - n))


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
