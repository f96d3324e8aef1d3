"""Tables that come with datasets: of names and colours, or of names alone."""

import csv
import re
from pathlib import Path

from segfast_edge.contract.classes import IGNORED, ClassSet, Colour, distinct_palette
from segfast_edge.data.label_files import Coding, by_colour
from segfast_edge.data.warn_once import warn_once
from segfast_edge.errors import DataError

VOID_NAMES = ("void", "unlabelled", "unlabeled", "ignore", "ignored")
_NUMBERS = re.compile(r"^\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.*\S)\s*$")
Rows = list[tuple[str, Colour]]


def read_table(path: Path) -> Coding:
    """Read a colour table; a class called void or the like does not count, and ids in label files are row numbers.

    Raises:
        DataError: not readable, a malformed row, or names that repeat.
    """
    return _coding(path, table_rows(path), coloured=True)


def read_names(path: Path) -> Coding:
    """Read a list of names, one a line, by the same rules; it gives no colours that label files could be held to.

    Raises:
        DataError: not readable, or names that repeat.
    """
    names = [line.strip() for line in _text(path).splitlines() if _counts(line)]
    return _coding(path, list(zip(names, distinct_palette(len(names)), strict=True)), coloured=False)


def _coding(path: Path, rows: Rows, *, coloured: bool) -> Coding:
    counted = [(name, colour) for name, colour in rows if name.lower() not in VOID_NAMES]
    void = [(name, colour) for name, colour in rows if name.lower() in VOID_NAMES]
    try:
        classes = ClassSet(tuple(name for name, _ in counted), tuple(colour for _, colour in counted))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if void:
        warn_once(("void class", path), "%s: class '%s' does not count", path, void[0][0])
    ids = iter(range(len(counted)))
    values = {row: IGNORED if name.lower() in VOID_NAMES else next(ids) for row, (name, _) in enumerate(rows)}
    colours = by_colour(classes, [colour for _, colour in void]) if coloured else {}
    return Coding(classes, {IGNORED: IGNORED} | values, colours, origin=str(path))


def table_rows(path: Path) -> Rows:
    """Return the names and colours in a table, in the order of its rows.

    Raises:
        DataError: not readable, or a row that is not a name and three numbers.
    """
    text = _text(path)
    rows = _csv_rows(text) if path.suffix == ".csv" else [_row(line) for line in text.splitlines() if _counts(line)]
    found: Rows = []
    for number, row in enumerate(rows, 1):
        if row is None or max(row[1]) > 255:
            raise DataError(f"{path}: row {number} is not a class name and a colour of three numbers from 0 to 255")
        found.append(row)
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _row(line: str) -> tuple[str, Colour] | None:
    """Read 'r g b name', or CVAT's 'name:r,g,b:parts:actions'."""
    if found := _NUMBERS.match(line):
        red, green, blue, name = found.groups()
        return name, (int(red), int(green), int(blue))
    name, _, rest = line.partition(":")
    return _named(name, rest.partition(":")[0].split(","))


def _csv_rows(text: str) -> list[tuple[str, Colour] | None]:
    lines = list(csv.reader(text.splitlines()))
    head = [field.strip().lower() for field in lines[0]] if lines else []
    if not {"name", "r", "g", "b"} <= set(head):
        return [None]
    at = {field: head.index(field) for field in ("name", "r", "g", "b")}
    return [
        _named(line[at["name"]], [line[at[part]] for part in "rgb"]) if len(line) == len(head) else None
        for line in lines[1:]
        if any(line)
    ]


def _named(name: str, parts: list[str]) -> tuple[str, Colour] | None:
    numbers = [int(part) for part in parts if part.strip().isdigit()]
    if not name.strip() or len(parts) != 3 or len(numbers) != 3:
        return None
    return name.strip(), (numbers[0], numbers[1], numbers[2])
