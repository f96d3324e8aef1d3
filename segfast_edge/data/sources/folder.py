"""Anybody's own pictures: ``images/`` and ``labels/`` with the same names, and ``classes.json`` to name the classes."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from segfast_edge.contract.shared.images import IMAGE_SUFFIXES, read_frame
from segfast_edge.data import own_classes
from segfast_edge.data.label_files import LabelFiles
from segfast_edge.data.label_palettes import dated
from segfast_edge.data.pairs import (
    EVERYTHING,
    LABEL_SUFFIXES,
    Listing,
    PairedSource,
    divided,
    existing_root,
    files_below,
    joined,
    match,
)
from segfast_edge.data.splits import SPLIT_NAMES, divided_by_folder
from segfast_edge.data.warn_once import warn_once
from segfast_edge.errors import DataError

LAYOUT = "images/ and labels/ [each with train/ val/ test/ inside] and a classes.json"
OPTIONS = (*own_classes.OPTIONS, "images", "labels", "image-suffix", "label-suffix")
# names that other tools give the two folders
IMAGE_FOLDERS = ("images", "img_dir", "imgs")
LABEL_FOLDERS = ("labels", "annotations", "ann_dir", "masks")

Folders = tuple[Path, Path]  # of images and of labels


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open such a folder.

    Splits are the folders inside ``images/``, or the folders that have ``images/`` inside. Without any, ``all`` is
    everything, ``val`` a fifth chosen by a hash of the name, ``train`` the rest. Options ``images`` and ``labels``
    name the two folders, ``image-suffix`` and ``label-suffix`` the ends of file names; ``values=0/255`` names the value
    of each class in the label files, and ``palette=no`` reads palette files by index alone.
    """
    root = existing_root(root, "folder", LAYOUT)
    ends = _ends(options, "image-suffix", IMAGE_SUFFIXES), _ends(options, "label-suffix", LABEL_SUFFIXES)
    images, labels = _found(root, options, "images", IMAGE_FOLDERS), _found(root, options, "labels", LABEL_FOLDERS)
    if images is None or labels is None:
        listings = _split_first(root, options, ends)
    else:
        listings = _listings((images, labels), ends)
    whole = [listings[EVERYTHING]] if EVERYTHING in listings else listings.values()
    pairs = joined([listing() for listing in whole]).pairs
    if not pairs:
        _refuse_jpeg(labels or root)
        where = f"no image in {images or root} has a label of the same name in {labels or root}"
        raise DataError(f"{where}; if names end differently, give --image-suffix and --label-suffix")
    high, wide = read_frame(pairs[0].image, convert=True).shape[:2]
    coding = own_classes.own_coding(root, dated([pair.label for pair in pairs]), options)
    return PairedSource("folder", coding.classes, (high, wide), listings, LabelFiles(coding))


def _refuse_jpeg(folder: Path) -> None:
    lossy = next((path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")), None)
    if lossy is not None and folder.name in LABEL_FOLDERS:
        raise DataError(
            f"label {lossy} is a JPEG, whose compression invents values along every edge; save labels as PNG"
        )


def _ends(options: Mapping[str, str], option: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    return (options[option],) if option in options else usual


def _found(root: Path, options: Mapping[str, str], kind: str, names: tuple[str, ...]) -> Path | None:
    """Return the folder of images or labels; None if there is none of the usual names.

    Raises:
        DataError: an option names one that does not exist.
    """
    if kind in options and not (root / options[kind]).is_dir():
        raise DataError(f"no folder '{options[kind]}' in {root}, which option {kind} names")
    wanted = (options[kind],) if kind in options else names
    return next((root / name for name in wanted if (root / name).is_dir()), None)


def _split_first(
    root: Path, options: Mapping[str, str], ends: tuple[tuple[str, ...], tuple[str, ...]]
) -> dict[str, Callable[[], Listing]]:
    """Find ``train/images`` and ``train/labels``, the splits being the outer folders."""
    folders = {}
    for split, names in SPLIT_NAMES.items():
        for name in names:
            images = _found(root / name, options, "images", IMAGE_FOLDERS) if (root / name).is_dir() else None
            labels = _found(root / name, options, "labels", LABEL_FOLDERS) if images else None
            if images and labels:
                folders[split] = images, labels
    if not folders:
        missing = "labels" if _found(root, options, "images", IMAGE_FOLDERS) else "images"
        raise DataError(f"no folder '{missing}' in {root}; expected {LAYOUT}")
    return {split: functools.partial(_matched, both, ends) for split, both in folders.items()}


def _listings(folders: Folders, ends: tuple[tuple[str, ...], tuple[str, ...]]) -> dict[str, Callable[[], Listing]]:
    inside = sorted(p.name for p in folders[0].iterdir() if p.is_dir() and not p.name.startswith("."))
    if not inside:
        return divided(functools.partial(_matched, folders, ends))
    usual = {name: split for split, names in SPLIT_NAMES.items() for name in names if split not in inside}
    listings: dict[str, Callable[[], Listing]] = {
        usual.get(name, name): functools.partial(_matched, (folders[0] / name, folders[1] / name), ends)
        for name in inside
    }
    return listings if "train" in listings else divided_by_folder(listings)


def _matched(folders: Folders, ends: tuple[tuple[str, ...], tuple[str, ...]]) -> Listing:
    images, labels = files_below(folders[0], ends[0]), files_below(folders[1], ends[1])
    found = match(images, labels)
    if found.pairs or not images or not labels:
        return found
    end = _usual_end([name for name, _ in images], {name for name, _ in labels}, folders[1])
    if end is None:
        return found
    warn_once(
        ("label end", folders[1].parent), "label files in %s have '%s' behind their picture's name", folders[1], end
    )
    return match(images, [(name.removesuffix(end), path) for name, path in labels if name.endswith(end)])


def _usual_end(images: list[str], labels: set[str], folder: Path) -> str | None:
    """Return what every label's name has behind its picture's name; None if there is no such end.

    Raises:
        DataError: there are several, as where labels lie beside their colour pictures.
    """
    first = images[0]
    ends = {name[len(first) :] for name in labels if name.startswith(first)}
    fitting = sorted(end for end in ends if end and all(image + end in labels for image in images))
    if len(fitting) > 1:
        raise DataError(f"label files in {folder} end in {', '.join(fitting)}; choose one with --label-suffix END.png")
    return fitting[0] if fitting else None
