"""Anybody's own pictures: ``images/`` and ``labels/`` with the same stems, and ``classes.json`` to name the classes."""

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.classes import IGNORED, ClassSet, distinct_palette
from segfast_edge.contract.files import read_json
from segfast_edge.contract.images import IMAGE_SUFFIXES, read_frame, read_labels
from segfast_edge.data.pairs import (
    EVERYTHING,
    LABEL_SUFFIXES,
    LabelMap,
    Listing,
    Pair,
    PairedSource,
    divided,
    existing_root,
    files_in,
    match,
    no_options,
    split_listings,
)
from segfast_edge.errors import ArtifactError, DataError

LAYOUT = "images/ and labels/ [each with train/ val/ test/ inside] and a classes.json"
CLASSES_FILE = "classes.json"

_log = logging.getLogger(__name__)


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open such a folder.

    Splits are the folders inside ``images/``. Where there are none, ``all`` is everything, and ``val`` is a
    fifth chosen by a hash of the name, ``train`` the rest.
    """
    no_options("folder", options)
    root = existing_root(root, "folder", LAYOUT)
    for part in ("images", "labels"):
        if not (root / part).is_dir():
            raise DataError(f"no folder '{part}' in {root}; expected {LAYOUT}")
    listings = _listings(root)
    whole = [listings[EVERYTHING]] if EVERYTHING in listings else listings.values()
    pairs = [pair for listing in whole for pair in listing().pairs]
    if not pairs:
        raise DataError(f"no image in {root / 'images'} has a label of the same name in {root / 'labels'}")
    high, wide = read_frame(pairs[0].image).shape[:2]
    classes = _read_classes(root / CLASSES_FILE) or _counted_classes(root, pairs)
    return PairedSource("folder", classes, (high, wide), listings, LabelMap.identity(classes))


def _listings(root: Path) -> dict[str, Callable[[], Listing]]:
    splits = sorted(p.name for p in (root / "images").iterdir() if p.is_dir() and not p.name.startswith("."))
    if splits:
        return split_listings({s: (root / "images" / s, root / "labels" / s) for s in splits}, IMAGE_SUFFIXES)

    def everything() -> Listing:
        return match(files_in(root / "images", IMAGE_SUFFIXES), files_in(root / "labels", LABEL_SUFFIXES))

    return divided(everything)


def _read_classes(path: Path) -> ClassSet | None:
    if not path.exists():
        return None
    try:
        value = read_json(path, "class list")
    except ArtifactError as error:
        raise DataError(str(error)) from error
    try:
        return _classes_from(value)
    except (KeyError, TypeError, ValueError, DataError) as error:
        detail = f"no '{error.args[0]}'" if isinstance(error, KeyError) else error
        raise DataError(
            f'{path} is malformed: {detail}. Expected {{"names": ["road", "sky"], "palette": [[r, g, b], ...], '
            f'"ignored": {IGNORED}}}, of which palette and ignored may be left out'
        ) from error


def _classes_from(value: Mapping[str, Any]) -> ClassSet:
    names = value["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError("names is not a list of texts")
    palette = value.get("palette")
    return ClassSet.from_json(
        {
            "names": names,
            "palette": distinct_palette(len(names)) if palette is None else palette,
            "ignored": value.get("ignored", IGNORED),
        }
    )


def _counted_classes(root: Path, pairs: Iterable[Pair]) -> ClassSet:
    """Look at every label file of every split, so that all splits have the same classes."""
    paths = sorted({pair.label for pair in pairs})
    ids = _ids_in(tuple((path, path.stat().st_mtime_ns) for path in paths))
    counted = [label for label in ids if label != IGNORED]
    count = max(counted, default=-1) + 1
    if count < 2:
        raise DataError(f"the labels in {root / 'labels'} hold {count} class(es); at least 2 are needed")
    names = tuple(f"class {label}" for label in range(count))
    return ClassSet(names, distinct_palette(count), IGNORED if IGNORED in ids else None)


@functools.lru_cache(maxsize=4)
def _ids_in(files: tuple[tuple[Path, int], ...]) -> frozenset[int]:
    """Return the values in label files; remembered by their times of change, for a folder is opened more than once."""
    seen = np.zeros(256, bool)
    for path, _ in files:
        seen[read_labels(path)] = True
    _log.warning(
        "no %s beside labels/: %d label files hold ids up to %d, so %d classes; write the file to name them",
        CLASSES_FILE,
        len(files),
        np.flatnonzero(seen[:IGNORED]).max(initial=-1),
        np.flatnonzero(seen[:IGNORED]).max(initial=-1) + 1,
    )
    return frozenset(int(label) for label in np.flatnonzero(seen))
