"""A mapping that renames, merges and ignores the classes of a dataset, from a TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from segfast_edge.contract.classes import IGNORED, ClassSet, Colour, find_name
from segfast_edge.contract.shared.images import Labels
from segfast_edge.data.pairs import LabelReader
from segfast_edge.errors import DataError, unknown

Others = Literal["refuse", "keep", "ignore"]
FORM = 'classes (a table of new = ["old", ...]), ignore (a list), others ("keep" or "ignore") and palette (a table)'


@dataclass(frozen=True, slots=True)
class ClassMapping:
    """The old classes of each new one, in the order of the new ids, and those that do not count.

    ``others`` says what becomes of classes that are not named: refused unless they are to be kept or ignored.
    """

    classes: Mapping[str, tuple[str, ...]]
    ignore: tuple[str, ...] = ()
    others: Others = "refuse"
    palette: Mapping[str, Colour] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "ClassMapping":
        """Read a mapping.

        Raises:
            DataError: no file, not TOML, or not what a mapping holds.
        """
        try:
            value = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"mapping {path} is not readable: {error}") from error
        try:
            return _parsed(value)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"mapping {path} is malformed: {error}. Expected {FORM}") from error

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "classes": {new: list(old) for new, old in self.classes.items()},
            "ignore": list(self.ignore),
            "others": self.others,
            "palette": {name: list(colour) for name, colour in self.palette.items()},
        }

    def apply(self, published: ClassSet) -> tuple[ClassSet, Labels]:
        """Return the new classes, and the new id of each value that labels may have (256 of them).

        Raises:
            DataError: a class that is not there, one named twice, or one not named at all with ``others`` "refuse".
        """
        target: dict[int, int] = {}
        for name in self.ignore:
            _assign(target, _index(name, published), IGNORED, published)
        for new, names in enumerate(self.classes.values()):
            for name in names:
                _assign(target, _index(name, published), new, published)
        rest = [label for label in range(len(published)) if label not in target]
        if rest and self.others == "refuse":
            listed = ", ".join(published.names[label] for label in rest)
            raise DataError(f'the mapping does not mention {listed}. Name them, or set others = "keep"')
        kept = rest if self.others == "keep" else []
        names = (*self.classes, *(published.names[label] for label in kept))
        target |= {label: len(self.classes) + place for place, label in enumerate(kept)}
        first = [next((old for old, new in target.items() if new == label), None) for label in range(len(names))]
        given = {name.lower(): colour for name, colour in self.palette.items()}
        palette = [
            given.get(name.lower(), (0, 0, 0) if old is None else published.palette[old])
            for name, old in zip(names, first, strict=True)
        ]
        lossless = published.ignored is None and set(target) == set(range(len(published))) and not self.ignore
        table = np.full(256, IGNORED, np.uint8)
        table[list(target)] = list(target.values())
        return ClassSet(names, tuple(palette), None if lossless else IGNORED), table


def _parsed(value: Mapping[str, Any]) -> ClassMapping:
    unknown_keys = set(value) - {"classes", "ignore", "others", "palette"}
    if unknown_keys:
        raise ValueError(f"unknown key '{min(unknown_keys)}'")
    classes = {str(new): tuple(_names(old, f"classes.{new}")) for new, old in dict(value.get("classes", {})).items()}
    others = value.get("others", "refuse")
    if others not in get_args(Others):
        raise ValueError(unknown("value of others", str(others), ("keep", "ignore")))
    palette = {str(name): (int(r), int(g), int(b)) for name, (r, g, b) in dict(value.get("palette", {})).items()}
    return ClassMapping(classes, tuple(_names(value.get("ignore", []), "ignore")), others, palette)


def _names(value: Any, what: str) -> list[str]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{what} is not a class name or a list of them")
    return names


def _index(name: str, published: ClassSet) -> int:
    found = find_name(name, published.names)
    if found is None:
        raise DataError(f"the mapping names a class that the dataset lacks: {unknown('class', name, published.names)}")
    return found


def _assign(target: dict[int, int], label: int, new: int, published: ClassSet) -> None:
    if target.setdefault(label, new) != new:
        raise DataError(f"the mapping names class '{published.names[label]}' twice")


@dataclass(frozen=True, slots=True)
class MappedLabels:
    """Reads label files and translates their ids; ``table`` has the new id of each of 256."""

    reader: LabelReader
    table: Labels

    def read(self, path: Path) -> Labels:
        """Read a label file as ids of the new classes."""
        return self.table[self.reader.read(path)]
