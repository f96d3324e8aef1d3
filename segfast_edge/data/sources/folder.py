"""Anybody's own pictures: ``images/`` and ``labels/`` with the same stems, and ``classes.json`` to name the classes."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.classes import IGNORED, ClassSet, distinct_palette
from segfast_edge.contract.files import read_json
from segfast_edge.contract.images import IMAGE_SUFFIXES, read_frame, read_labels
from segfast_edge.data.pairs import (
    LABEL_SUFFIXES,
    LabelMap,
    Listing,
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
    first = next(iter(listings.values()))().checked(f"folder {root}").pairs[0]
    high, wide = read_frame(first.image).shape[:2]
    classes = _read_classes(root / CLASSES_FILE) or _count_classes(root, listings)
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


def _count_classes(root: Path, listings: Mapping[str, Callable[[], Listing]]) -> ClassSet:
    """Look at every label file of every split, so that all splits have the same classes."""
    paths = {pair.label for listing in listings.values() for pair in listing().pairs}
    seen = np.zeros(256, bool)
    for path in sorted(paths):
        seen[read_labels(path)] = True
    ids = np.flatnonzero(seen[:IGNORED])
    count = int(ids[-1]) + 1 if ids.size else 0
    if count < 2:
        raise DataError(f"the labels in {root / 'labels'} hold {count} class(es); at least 2 are needed")
    _log.warning(
        "no %s in %s: %d label files hold ids up to %d, so %d classes; write the file to name them",
        CLASSES_FILE,
        root,
        len(paths),
        count - 1,
        count,
    )
    names = tuple(f"class {label}" for label in range(count))
    return ClassSet(names, distinct_palette(count), IGNORED if seen[IGNORED] else None)
