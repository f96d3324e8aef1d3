"""The classes of a user's own label files: from a class list, from options, or from the values in the files."""

import functools
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from segfast_edge.contract.classes import IGNORED, ClassSet, distinct_palette
from segfast_edge.data.class_list import CLASSES_FILE, find_coding, listed_values
from segfast_edge.data.label_files import Coding, LabelFiles, identity, ranges, read_label_picture
from segfast_edge.data.label_palettes import Dated, check_palettes
from segfast_edge.errors import DataError

OPTIONS = ("palette", "values")
VALUES_WAY = "pass --data folder:values=0/255 with the value of each class in turn"
STRAY = 4  # times as many ids that never occur as ids that do: one stray value, not a list of classes

_log = logging.getLogger(__name__)


def own_coding(root: Path, labels: Dated, options: Mapping[str, str]) -> Coding:
    """Find out what values, indices and colours of the label files mean.

    Raises:
        DataError: a class list is malformed, or the files could mean two things.
    """
    values = _given_values(options.get("values"))
    coding = find_coding(root)
    if coding is None:
        coding = _unnamed(values) if values else _counted(root, labels)
    elif values:
        coding = replace(coding, values=_valued(values, coding.classes), trusted=True)
    if options.get("palette", "yes") not in ("yes", "no"):
        raise DataError(f"folder option palette={options['palette']}; allowed are yes and no")
    if options.get("palette") == "no":
        coding = replace(coding, colours={})
    elif not coding.colours:
        check_palettes(labels)
    if not coding.trusted:
        _check_masks(root, labels, coding.classes)
    return replace(coding, ways=_ways(coding))


def _ways(coding: Coding) -> dict[str, str]:
    """Return what a person can do about labels that contradict their class list."""
    count = len(coding.classes)
    first = "/".join(str(value) for value in range(1, min(count, 4) + 1)) + ("/..." if count > 4 else "")
    value = f"If files number the classes otherwise, give the value of each in turn: --data folder:values={first}"
    ignore = 'list those that do not count as "ignored_palette" in classes.json'
    return {
        "palette": f"Put the colours right, {ignore}, or read by index alone with --data folder:palette=no",
        "colour": f"Give each class its colour there, and {ignore}",
    } | ({} if coding.trusted else {"value": value})


def _given_values(text: str | None) -> list[int]:
    """Read the option ``values``, numbers with slashes between them."""
    parts = [] if text is None else text.split("/")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise DataError(f"folder option values={text}; expected numbers with slashes between them, as in values=0/255")
    return [int(part) for part in parts]


def _valued(values: list[int], classes: ClassSet) -> dict[int, int]:
    try:
        return listed_values(values, classes, classes.ignored)
    except ValueError as error:
        raise DataError(f"folder option {error}") from error


def _unnamed(values: list[int]) -> Coding:
    """Name classes by their values in the label files, for want of better names."""
    names = tuple(f"class {value}" for value in values)
    classes = ClassSet(names, distinct_palette(len(values)))
    return Coding(classes, _valued(values, classes), trusted=True)


def _counted(root: Path, labels: Dated) -> Coding:
    """Look at every label file of every split, so that all splits have the same classes."""
    ids = _ids_in(labels)
    counted = [label for label in ids if label != IGNORED]
    count = max(counted, default=-1) + 1
    if count < 2:
        raise DataError(
            f"the labels in {root} hold {count} class(es) (values {ranges(ids)}; {IGNORED} does not count);"
            f" at least 2 are needed. If {IGNORED} is a class, {VALUES_WAY}"
        )
    absent = sorted(set(range(count)) - set(counted))
    way = f"name the classes in {CLASSES_FILE}, or pass --data folder:values={'/'.join(map(str, counted))}"
    if len(absent) > STRAY * len(counted):
        raise DataError(
            f"the labels in {root} hold the ids {ranges(counted)}, so {len(absent)} of {count} classes would"
            f" be without a pixel: {way}"
        )
    _log.warning(
        "no %s in the folder: %d label files hold ids up to %d, so %d classes; write the file to name them",
        CLASSES_FILE, len(labels), count - 1, count,
    )  # fmt: skip
    if absent:
        _log.warning("no label has id %s, so that class is empty: %s", ranges(absent), way)
    classes = ClassSet(
        tuple(f"class {label}" for label in range(count)), distinct_palette(count), IGNORED if IGNORED in ids else None
    )
    return Coding(classes, identity(classes))


@functools.lru_cache(maxsize=4)
def _ids_in(files: Dated) -> tuple[int, ...]:
    """Return the values in label files, sorted; a folder is opened more than once, and its files read once."""
    plain = LabelFiles(Coding(ClassSet(("any", "other"), distinct_palette(2)), {value: value for value in range(256)}))
    seen = np.zeros(256, bool)
    for path, _ in files:
        seen[plain.read(path)] = True
    return tuple(np.flatnonzero(seen).tolist())


def _check_masks(root: Path, labels: Dated, classes: ClassSet) -> None:
    """Refuse two classes whose labels hold only 0 and 255, if 255 is not the second: it would have no pixel."""
    if classes.ignored not in (None, IGNORED) or not _only_masks(labels):
        return
    first, second = classes.names[:2]
    what = "stands for no class" if classes.ignored is None else "does not count"
    seen = f"the labels in {root} hold only 0 and {IGNORED}, of which {IGNORED} {what}"
    if len(classes) > 2:
        _log.warning("%s: of %d classes only '%s' occurs", seen, len(classes), first)
        return
    raise DataError(
        f"{seen}, so '{second}' would have no pixel. If {IGNORED} is '{second}', pass --data folder:values=0/{IGNORED}"
        f' or write "values": [0, {IGNORED}] into {CLASSES_FILE}; if it does not count, pass --data folder:values=0/1'
    )


@functools.lru_cache(maxsize=4)
def _only_masks(files: Dated) -> bool:
    """Return whether the files are grey and hold 0 and 255 and nothing else; the first other value ends the search."""
    seen: set[int] = set()
    for path, _ in files:
        picture = read_label_picture(path)
        if picture.values is None or picture.palette is not None:
            return False
        seen |= set(np.unique(picture.values).tolist())
        if seen - {0, IGNORED}:
            return False
    return seen == {0, IGNORED}
