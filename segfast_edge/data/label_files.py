"""Label files in the forms that people have: class ids of any depth, palette indices, colours."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from segfast_edge.contract.classes import IGNORED, ClassSet, Colour
from segfast_edge.contract.shared.images import Labels, open_picture
from segfast_edge.data.warn_once import warn_once
from segfast_edge.errors import DataError

Values = npt.NDArray[np.integer]  # height x width
Palette = npt.NDArray[np.uint8]  # entries x 3
_SHALLOW = {2: 85, 4: 17}  # Pillow spreads grey values of so many bits over 0 to 255 by this factor
_DEPTH_AT, _PNG = 24, b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE = 258  # TIFF tag


@dataclass(frozen=True, slots=True)
class LabelPicture:
    """A decoded label file: ``values`` of one channel, with the palette of a palette file, or ``colours``."""

    values: Values | None = None
    palette: Palette | None = None
    colours: npt.NDArray[np.uint8] | None = None  # height x width x 3


def read_label_picture(path: Path) -> LabelPicture:
    """Decode a label file of 1, 2, 4, 8 or 16 bits, with a palette, or in colour; alpha must be opaque.

    Raises:
        DataError: no file, not an image, half transparent, or of a mode that holds neither ids nor colours.
    """
    picture = open_picture(path)
    depth, mode = _depth(path, picture), picture.mode
    if mode in ("LA", "RGBA"):
        if picture.getchannel("A").getextrema() != (255, 255):
            raise DataError(f"label {path} has an alpha channel that is not opaque everywhere; save it without alpha")
        picture = picture.convert(mode[:-1])
    if picture.mode == "P":
        return LabelPicture(np.asarray(picture, np.uint8), _palette(picture))
    if picture.mode in ("1", "L"):
        return LabelPicture(np.asarray(picture, np.uint8) // _SHALLOW.get(depth, 1))
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return LabelPicture(np.asarray(picture).astype(np.int32))
    if picture.mode == "RGB" and depth != 16:
        return LabelPicture(colours=np.asarray(picture, np.uint8))
    what = "16 bits per colour" if depth == 16 else f"mode {mode}"
    raise DataError(f"label {path} has {what}; expected class ids in one channel, a palette, or 8-bit RGB colours")


def _depth(path: Path, picture: Image.Image) -> int:
    """Return the file's bits per channel, which Pillow's mode does not show."""
    if picture.format == "PNG":
        with path.open("rb") as stream:
            return stream.read(_DEPTH_AT + 1)[_DEPTH_AT]
    tags = getattr(picture, "tag_v2", None)
    return int(tags.get(_BITS_PER_SAMPLE, (8,))[0]) if tags is not None else 8


def _palette(picture: Image.Image) -> Palette | None:
    """Return the colours of a palette file; None for a grey ramp, which is how ids look that have no colours."""
    parts = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    ramp = np.arange(len(parts), dtype=np.uint8)[:, None]
    return None if len(parts) == 0 or (len(parts) > 1 and bool((parts == ramp).all())) else parts


@dataclass(frozen=True, slots=True)
class Coding:
    """How the values and colours of label files encode classes.

    ``values`` leads from a value in a file to a class id, and ``colours`` from a colour; the latter is empty if the
    classes have no colours that files could be held to. ``trusted`` says that values were given on purpose: then
    a palette that contradicts them is refused, never followed. ``origin`` is the file that says all this.
    """

    classes: ClassSet
    values: Mapping[int, int]
    colours: Mapping[Colour, tuple[int, ...]] = field(default_factory=dict)
    trusted: bool = False
    origin: str = "classes.json"
    ways: Mapping[str, str] = field(default_factory=dict)  # what to do about a wrong value, palette or colour

    def way_on(self, what: str) -> str:
        """Return the end of an error message that says what to do, if anything can be done."""
        return f". {self.ways[what]}" if what in self.ways else ""


def identity(classes: ClassSet) -> dict[int, int]:
    """Return the values that stand for themselves: the ids, and the ignored value."""
    ids = {value: value for value in range(len(classes))}
    return ids if classes.ignored is None else ids | {classes.ignored: classes.ignored}


def by_colour(classes: ClassSet, ignored: Iterable[Colour] = ()) -> dict[Colour, tuple[int, ...]]:
    """Return the ids that each colour of ``classes`` stands for; ``ignored`` are colours that do not count."""
    found: dict[Colour, tuple[int, ...]] = {}
    for label, colour in enumerate(classes.palette):
        found[colour] = (*found.get(colour, ()), label)
    for colour in ignored:
        found[colour] = (*found.get(colour, ()), IGNORED if classes.ignored is None else classes.ignored)
    return found


class LabelFiles:
    """Reads label files of any form as class ids; what stands for no class, or for two, is refused."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._table = np.full(256, -1, np.int16)
        self._table[list(coding.values)] = list(coding.values.values())

    def read(self, path: Path) -> Labels:
        """Read a label file as class ids, uint8 height x width.

        Raises:
            DataError: not readable, or a value or colour that stands for no single class.
        """
        picture = read_label_picture(path)
        if picture.colours is not None:
            return self._from_colours(path, picture.colours)
        assert picture.values is not None
        if picture.palette is not None and self._coding.colours:
            return self._from_palette(path, picture.values, picture.palette)
        return self._from_values(path, picture.values)

    def _from_values(self, path: Path, values: Values) -> Labels:
        return translated(path, values, self._table, self._coding.way_on("value"))

    def _from_palette(self, path: Path, values: Values, palette: Palette) -> Labels:
        """Take ids by index if every index that occurs has its class's colour, else by colour if that is certain."""
        used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
        colours = {int(entry): palette_colour(palette, int(entry)) for entry in used}
        meant = {entry: self._meant(colour) for entry, colour in colours.items()}
        table = self._coding.values
        if all(self._agrees(entry, ids, palette) for entry, ids in meant.items()):
            return self._from_values(path, values)
        follow = np.full(256, -1, np.int16)
        for entry, ids in meant.items():
            if len(ids) == 1 and not self._coding.trusted:
                follow[entry] = ids[0]
            elif not ids and table.get(entry) == self._coding.classes.ignored is not None:
                follow[entry] = table[entry]
            else:
                raise DataError(self._contradiction(path, entry, colours[entry]))
        self._tell(path, {entry: int(follow[entry]) for entry in meant if follow[entry] != table.get(entry)})
        return np.asarray(follow[values], np.uint8)

    def _meant(self, colour: Colour | None) -> tuple[int, ...]:
        return () if colour is None else self._coding.colours.get(colour, ())

    def _agrees(self, entry: int, ids: tuple[int, ...], palette: Palette) -> bool:
        """Return whether palette entry ``entry``, whose colour is that of ``ids``, is one of these classes by index."""
        label = self._coding.values.get(entry)
        if label is None or label in ids:
            return label in ids
        # what does not count has any colour, also that of a class which has it at its own index: palettes are padded
        owner = {label: value for value, label in self._coding.values.items()}
        own = [palette_colour(palette, owner[other]) for other in ids if other in owner]
        return label == self._coding.classes.ignored and own == [palette_colour(palette, entry)] * len(ids)

    def _contradiction(self, path: Path, entry: int, colour: Colour | None) -> str:
        ids = self._meant(colour)
        label = self._coding.values.get(entry)
        as_index = "no class" if label is None else self._named(label)
        as_colour = " and ".join(map(self._named, ids)) or "no class"
        shown = "beyond its palette" if colour is None else f"{colour} in its palette"
        return (
            f"label {path} contradicts {self._coding.origin}: entry {entry}, {shown}, is {as_index} by its index and"
            f" {as_colour} by its colour{self._coding.way_on('palette')}"
        )

    def _named(self, label: int) -> str:
        names = self._coding.classes.names
        return f"'{names[label]}'" if label < len(names) else "the ignored label"

    def _tell(self, path: Path, moved: Mapping[int, int]) -> None:
        for entry, label in moved.items():
            warn_once(
                ("palette order", self._coding.origin),
                "palettes order their colours differently from %s, so labels are read by colour: in %s entry %d has the"
                " colour of %s",
                self._coding.origin, path, entry, self._named(label),
            )  # fmt: skip

    def _from_colours(self, path: Path, pixels: npt.NDArray[np.uint8]) -> Labels:
        if not self._coding.colours:
            if (pixels == pixels[..., :1]).all():  # one channel, saved three times
                return self._from_values(path, pixels[..., 0])
            raise DataError(
                f"label {path} is in colour, but the colours of the classes are not known. Give classes.json a"
                ' "palette": [[r, g, b], ...], one colour for each name'
            )
        packed = _packed(pixels)
        codes = np.array(sorted(_code(colour) for colour in self._coding.colours), np.uint32)
        place = np.minimum(np.searchsorted(codes, packed), len(codes) - 1)
        ids = [self._coding.colours[_unpacked(int(code))] for code in codes]
        table = np.array([label[0] if len(label) == 1 else -1 for label in ids], np.int16)
        labels = np.where(codes[place] == packed, table[place], np.int16(-1))
        if (labels < 0).any():
            raise DataError(self._unknown_colour(path, packed, labels < 0))
        return np.asarray(labels, np.uint8)

    def _unknown_colour(self, path: Path, packed: npt.NDArray[np.uint32], wrong: npt.NDArray[np.bool_]) -> str:
        row, column = (int(at) for at in np.argwhere(wrong)[0])
        colour = _unpacked(int(packed[row, column]))
        meaning = " and ".join(map(self._named, self._meant(colour))) or "no class"
        return (
            f"label {path} has colour {colour} at row {row}, column {column}, which stands for {meaning} in"
            f" {self._coding.origin}{self._coding.way_on('colour')}"
        )


def translated(path: Path, values: Values, table: npt.NDArray[np.int16], hint: str = "") -> Labels:
    """Return ``table`` (256 entries, -1 for what is refused) applied to the values of the label file ``path``.

    Raises:
        DataError: a value that stands for no class.
    """
    mapped = table[np.clip(values, 0, 255)]
    wrong = (mapped < 0) | (values > 255) | (values < 0)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        allowed = ranges(np.flatnonzero(table >= 0).tolist())
        raise DataError(
            f"label {path} has value {values[row, column]} at row {row}, column {column}; allowed: {allowed}{hint}"
        )
    return np.asarray(mapped, dtype=np.uint8)


def ranges(values: Iterable[int]) -> str:
    """Write sorted numbers as '0-10, 255'."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def palette_colour(palette: Palette, entry: int) -> Colour | None:
    """Return an entry's colour, or None beyond the palette's end."""
    if entry >= len(palette):
        return None
    red, green, blue = (int(part) for part in palette[entry])
    return red, green, blue


def _packed(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    red, green, blue = (pixels[..., part].astype(np.uint32) for part in range(3))
    return np.asarray(red << 16 | green << 8 | blue, np.uint32)


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _unpacked(code: int) -> Colour:
    return code >> 16, code >> 8 & 255, code & 255
