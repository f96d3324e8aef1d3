"""Splits that keep a drive, city or camera together."""

import functools
import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from segfast_edge.data.pairs import EVERYTHING, VAL_SHARE, Listing, Pair, PairedSource, joined
from segfast_edge.data.sample import Source
from segfast_edge.data.split_lists import whole
from segfast_edge.errors import DataError, unknown

# names that tools and publishers give the folders of splits
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing"),
}

Groups = Mapping[str, tuple[Pair, ...]]


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
    """Divide train and val again so that no group is in both; a published test split stays as it is.

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


def recorded(source: Source) -> Mapping[str, Any]:
    """Return what was chosen of a dataset beyond its name, for the record of a run."""
    return source.record if isinstance(source, PairedSource) else {}
