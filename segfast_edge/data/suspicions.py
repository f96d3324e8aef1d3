"""Likely mistakes in a dataset that a training would accept: leaks, missing classes, unusual sizes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.classes import ClassSet
from segfast_edge.data.fingerprint import Fingerprint, alike
from segfast_edge.data.leaks import shared_recordings
from segfast_edge.data.pairs import EVERYTHING, PairedSource
from segfast_edge.data.sample import Source
from segfast_edge.errors import DataError

_AREA_RATIO = 4.0  # largest to smallest picture, from which sizes are worth a word
_ASPECT_RATIO = 1.5  # most to least elongated, from which resizing to one shape distorts
_LONG = 4.0  # longer to shorter side, from which a picture is hardly a camera's


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample as it was read: its size (height, width), the label values it has, and what its picture looks like."""

    split: str
    name: str
    size: tuple[int, int]
    values: npt.NDArray[np.int64]
    digest: bytes
    fingerprint: Fingerprint | None


def suspicions(source: Source, seen: Sequence[Seen]) -> Iterator[str]:
    """Give one line for each thing that looks wrong in the samples that could be read."""
    found = _by_split(source, seen)
    splits = {split: found[split] for split in sorted(found, key=lambda split: split != "train")}  # train is the first
    for one, other in combinations(splits, 2):
        yield from _shared(one, splits[one], other, splits[other])
    for split, members in splits.items():
        yield from _repeated(split, members)
    yield from _unlearned(source.classes, splits)
    yield from _constant(source.classes, seen)
    yield from _sizes(seen)


def _by_split(source: Source, seen: Sequence[Seen]) -> Mapping[str, list[Seen]]:
    """Return samples by split, of a dataset without splits of its own by those that it is divided into."""
    if not isinstance(source, PairedSource) or EVERYTHING not in source.splits:
        found: dict[str, list[Seen]] = defaultdict(list)
        for one in seen:
            found[one.split].append(one)
        return found
    by_name = {one.name: one for one in seen}
    try:
        parts = {split: source.listing(split).pairs for split in ("train", "val") if split in source.splits}
    except DataError:  # too few pictures to divide
        return {EVERYTHING: list(seen)}
    return {split: [by_name[p.name] for p in pairs if p.name in by_name] for split, pairs in parts.items()}


def _shared(one: str, ones: Sequence[Seen], other: str, others: Sequence[Seen]) -> Iterator[str]:
    """Give what two splits have in common: pictures, pictures that look the same, frames of one recording."""
    where = {sample.digest: sample.name for sample in ones}
    same = [(where[sample.digest], sample.name) for sample in others if sample.digest in where]
    if same:
        yield (
            f"{len(same)} of {len(others)} pictures of {other} are in {one} too, such as {same[0][0]} ({one}) and"
            f" {same[0][1]} ({other}): figures on {other} show memory, not skill"
        )
    exact = {name for _, name in same}
    close = [(ones[a].name, others[b].name) for a, b in _alike(ones, others) if others[b].name not in exact]
    near = {name: partner for partner, name in close}
    if near:
        name, partner = next(iter(near.items()))
        yield (
            f"{len(near)} of {len(others)} pictures of {other} look like one of {one}, such as {partner} ({one}) and"
            f" {name} ({other})"
        )
    names = [[sample.name for sample in part] for part in (ones, others)]
    if recordings := shared_recordings(*names):
        yield recordings.describe(one, other, len(others))


def _alike(ones: Sequence[Seen], others: Sequence[Seen]) -> list[tuple[int, int]]:
    """Return the places of pictures that look the same; those without contrast look like nothing."""
    rows = [
        [(place, s.fingerprint) for place, s in enumerate(part) if s.fingerprint is not None] for part in (ones, others)
    ]
    if not all(rows):
        return []
    tables = [np.stack([print_ for _, print_ in part]) for part in rows]
    return [(rows[0][a][0], rows[1][b][0]) for a, b in alike(*tables)]


def _repeated(split: str, members: Sequence[Seen]) -> Iterator[str]:
    counts = Counter(sample.digest for sample in members)
    again = [sample.name for sample in members if counts[sample.digest] > 1]
    if again:
        yield f"{len(again)} pictures of {split} are there more than once, such as {again[0]}"


def _unlearned(classes: ClassSet, splits: Mapping[str, Sequence[Seen]]) -> Iterator[str]:
    """Give the classes that are measured and never learned."""
    if "train" not in splits:
        return
    learned = _values(splits["train"])
    for split in ("val", "test"):
        missing = [classes.names[v] for v in sorted(_values(splits.get(split, ())) - learned) if v < len(classes)]
        if missing:
            yield f"classes that {split} has and train has not: {', '.join(missing)}; they cannot be learned"


def _values(samples: Iterable[Seen]) -> set[int]:
    return {int(value) for sample in samples for value in sample.values}


def _constant(classes: ClassSet, seen: Sequence[Seen]) -> Iterator[str]:
    constant = [sample for sample in seen if len(sample.values) == 1]
    if constant:
        value = int(constant[0].values[0])
        what = classes.names[value] if value < len(classes) else "void"
        yield f"{len(constant)} of {len(seen)} labels hold a single class, such as {constant[0].name} ({what})"


def _sizes(seen: Sequence[Seen]) -> Iterator[str]:
    if not seen:
        return
    areas = sorted({(high * wide, high, wide) for high, wide in (sample.size for sample in seen)})
    (small, *least), (large, *most) = areas[0], areas[-1]
    if large > _AREA_RATIO * small:
        yield f"sizes differ: from {least[0]}x{least[1]} to {most[0]}x{most[1]}; all are resized to one"
    shapes = sorted({(wide / high, high, wide) for high, wide in (sample.size for sample in seen)})
    (narrow, *thin), (broad, *flat) = shapes[0], shapes[-1]
    if broad > _ASPECT_RATIO * narrow:
        yield (
            f"shapes differ: {thin[0]}x{thin[1]} and {flat[0]}x{flat[1]} (height x width) are resized to one shape,"
            " which distorts them"
        )
    if max(broad, 1 / narrow) > _LONG:
        high, wide = flat if broad > _LONG else thin
        yield f"a picture of {high}x{wide} (height x width) is very elongated"
