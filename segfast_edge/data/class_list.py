"""The names of one's own classes, and how label files say which is which: classes.json or a colour table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segfast_edge.contract.classes import IGNORED, ClassSet, Colour, distinct_palette
from segfast_edge.contract.shared.files import read_json
from segfast_edge.data.class_tables import VOID_NAMES, read_names, read_table, table_rows
from segfast_edge.data.label_files import Coding, by_colour, identity
from segfast_edge.errors import ArtifactError, DataError

CLASSES_FILE = "classes.json"
NAME_LISTS = ("classes.txt", "codes.txt")
TABLES = ("label_colors.txt", "class_dict.csv", "labelmap.txt")


def find_coding(root: Path) -> Coding | None:
    """Read what the folder has: classes.json, with the colours of a table if it has none, or a table, or nothing.

    Raises:
        DataError: a file is malformed, or classes.json names a class that the table lacks.
    """
    tables = [root / name for name in TABLES if (root / name).is_file()]
    if not (root / CLASSES_FILE).exists():
        names = next((root / name for name in NAME_LISTS if (root / name).is_file()), None)
        return read_table(tables[0]) if tables else (None if names is None else read_names(names))
    coding = read_classes(root / CLASSES_FILE)
    return coding if coding.colours or not tables else _coloured(coding, tables[0])


def _coloured(coding: Coding, table: Path) -> Coding:
    """Give the classes the colours that the table has for their names; its other rows mean nothing here."""
    rows = {name.lower(): colour for name, colour in table_rows(table)}
    missing = [name for name in coding.classes.names if name.lower() not in rows]
    if missing:
        raise DataError(f"{table} has no colour for {', '.join(missing)}, which {CLASSES_FILE} beside it names")
    classes = replace(coding.classes, palette=tuple(rows[name.lower()] for name in coding.classes.names))
    void = [colour for name, colour in rows.items() if name in VOID_NAMES and classes.ignored is not None]
    return replace(coding, classes=classes, colours=by_colour(classes, void), origin=str(table))


def read_classes(path: Path) -> Coding:
    """Read a class list.

    Raises:
        DataError: not readable, or not what a class list holds.
    """
    try:
        value = read_json(path, "class list")
    except ArtifactError as error:
        raise DataError(str(error)) from error
    try:
        return replace(_coding(value), origin=str(path))
    except (KeyError, TypeError, ValueError, DataError) as error:
        detail = f"no '{error.args[0]}'" if isinstance(error, KeyError) else error
        raise DataError(
            f'{path} is malformed: {detail}. Expected {{"names": ["road", "sky"], "palette": [[r, g, b], ...],'
            f' "ignored": {IGNORED}, "ignored_palette": [[r, g, b], ...], "values": [0, 1]}}; only names is needed'
        ) from error


def _coding(value: Mapping[str, Any]) -> Coding:
    names = value["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValueError("names is not a list of texts")
    palette, ignored = value.get("palette"), value.get("ignored", IGNORED)
    colours = distinct_palette(len(names)) if palette is None else palette
    given = value.get("values")
    kept = IGNORED if given is not None and ignored is not None else ignored  # other values are free to be ignored
    classes = ClassSet.from_json({"names": names, "palette": colours, "ignored": kept})
    not_counted = _colours(value.get("ignored_palette", []))
    if not_counted and ignored is None:
        raise ValueError("ignored_palette is given and ignored is null; every pixel counts or not")
    known = {} if palette is None else by_colour(classes, not_counted)
    if given is None:
        return Coding(classes, identity(classes), known)
    return Coding(classes, listed_values(given, classes, ignored), known, trusted=True)


def _colours(value: Any) -> list[Colour]:
    return [(int(red), int(green), int(blue)) for red, green, blue in value]


def listed_values(values: Sequence[Any], classes: ClassSet, ignored: int | None) -> dict[int, int]:
    """Return the class ids that the values in label files stand for, which are given in the order of the classes.

    Raises:
        ValueError: not one value from 0 to 255 for each class, or one twice.
    """
    whole = [value for value in values if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255]
    if len(whole) != len(values) or len(set(whole)) != len(whole) or len(whole) != len(classes):
        raise ValueError(f"values must be {len(classes)} different numbers from 0 to 255, one for each class")
    mapping = {value: label for label, value in enumerate(whole)}
    if ignored is not None and ignored not in mapping:
        mapping[ignored] = IGNORED
    return mapping
