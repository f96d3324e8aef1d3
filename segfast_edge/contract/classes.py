"""Class names, their colours, and the label value that does not count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segfast_edge.errors import DataError

Colour = tuple[int, int, int]
MAX_CLASSES = 255  # labels travel as uint8 and 255 is kept for pixels that do not count
IGNORED = 255


@dataclass(frozen=True, slots=True)
class ClassSet:
    """The classes a network tells apart, in label order.

    ``ignored`` is the label value in ground truth that no metric and no loss counts, or None if every
    pixel counts. It is never predicted.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignored: int | None = IGNORED

    def __post_init__(self) -> None:
        if not 2 <= len(self.names) <= MAX_CLASSES:
            raise DataError(f"got {len(self.names)} classes; expected 2 to {MAX_CLASSES}")
        if len(set(self.names)) != len(self.names):
            raise DataError(f"class names repeat: {', '.join(self.names)}")
        if len(self.palette) != len(self.names):
            raise DataError(f"{len(self.palette)} colours for {len(self.names)} classes; give one each")
        for colour in self.palette:
            if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
                raise DataError(f"colour {colour} is not three values from 0 to 255")
        if self.ignored is not None and not len(self.names) <= self.ignored <= 255:
            raise DataError(f"ignored label {self.ignored} must lie from {len(self.names)} to 255")

    def __len__(self) -> int:
        return len(self.names)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"names": list(self.names), "palette": [list(c) for c in self.palette], "ignored": self.ignored}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ClassSet":
        """Read what ``to_json`` wrote."""
        palette = tuple((int(r), int(g), int(b)) for r, g, b in value["palette"])
        return cls(tuple(map(str, value["names"])), palette, value["ignored"])


def distinct_palette(count: int) -> tuple[Colour, ...]:
    """Return ``count`` colours that differ well, by the bit-reversed ids that PASCAL VOC uses for its palette."""
    colours: list[Colour] = []
    for label in range(1, count + 1):
        parts, rest = [0, 0, 0], label
        for bit in range(7, -1, -1):
            for channel in range(3):
                parts[channel] |= (rest >> channel & 1) << bit
            rest >>= 3
        colours.append((parts[0], parts[1], parts[2]))
    return tuple(colours)


def numbered(count: int) -> ClassSet:
    """Return classes that are called by their numbers, for a network that came without their names."""
    return ClassSet(tuple(f"class {number}" for number in range(count)), distinct_palette(count))


def find_name(name: str, names: Sequence[str]) -> int | None:
    """Return the place of ``name`` in ``names``: as it is written, else as the only one that differs in case alone."""
    if name in names:
        return names.index(name)
    alike = [place for place, other in enumerate(names) if other.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None
