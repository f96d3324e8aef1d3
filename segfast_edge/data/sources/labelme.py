"""labelme: one JSON file of shapes for each picture, beside it."""

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from segfast_edge.contract.classes import IGNORED
from segfast_edge.contract.shared.files import read_json
from segfast_edge.contract.shared.images import Labels
from segfast_edge.data.drawing import Drawing, drawing
from segfast_edge.data.label_palettes import Dated, dated
from segfast_edge.data.pairs import Listing, Pair, PairedSource, divided, existing_root
from segfast_edge.data.polygons import Area, Point, drawn
from segfast_edge.data.splits import SPLIT_NAMES
from segfast_edge.errors import ArtifactError, DataError

LAYOUT = "pictures with a .json of labelme beside each, in the folder or in train/ and val/"
OPTIONS = ("background",)
NAMES_FILE = "labels.txt"
IGNORE, BACKGROUND = "__ignore__", "_background_"  # as labelme's own converters call them
CIRCLE_STEPS = 64
_NO_ANNOTATIONS = ("classes.json", "converted.json")


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open such a folder.

    Classes are the lines of ``labels.txt``, or all names that occur, sorted. ``__ignore__`` does not count; what no
    shape covers is the class background, or does not count with ``background=ignored``.
    """
    root = existing_root(root, "labelme", LAYOUT)
    inside = {s: root / name for s, names in SPLIT_NAMES.items() for name in names if (root / name).is_dir()}
    files = {
        split: [path for path in sorted(folder.rglob("*.json")) if path.name not in _NO_ANNOTATIONS]
        for split, folder in (inside or {"": root}).items()
    }
    annotations = [path for found in files.values() for path in found]
    if not annotations or "shapes" not in _read(annotations[0]):
        raise DataError(f"{root} is not labelme: no .json with shapes; expected {LAYOUT}")
    chosen = drawing(_names(root, dated(annotations)), options.get("background", "class"))
    listings: dict[str, Callable[[], Listing]] = {
        split: functools.partial(_listing, inside.get(split, root), tuple(found)) for split, found in files.items()
    }
    value = _read(annotations[0])
    size = int(value["imageHeight"]), int(value["imageWidth"])
    return PairedSource(
        "labelme", chosen.classes, size, divided(listings[""]) if "" in listings else listings, _Shapes(chosen)
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path, "annotation")
    except ArtifactError as error:
        raise DataError(str(error)) from error


def _listing(folder: Path, files: tuple[Path, ...]) -> Listing:
    pairs, alone = [], []
    for path in files:
        image = path.parent / PureWindowsPath(str(_read(path).get("imagePath", ""))).name
        if image.is_file():
            pairs.append(Pair(path.relative_to(folder).with_suffix("").as_posix(), image, path))
        else:
            alone.append(path)
    return Listing(tuple(pairs), without_image=tuple(alone))


def _names(root: Path, files: Dated) -> list[str]:
    if (root / NAMES_FILE).is_file():
        listed = (root / NAMES_FILE).read_text(encoding="utf-8").split("\n")
        return [name.strip() for name in listed if name.strip() and name.strip() not in (IGNORE, BACKGROUND)]
    return list(_occurring(files))


@functools.lru_cache(maxsize=4)
def _occurring(files: Dated) -> tuple[str, ...]:
    names = {str(shape.get("label")) for path, _ in files for shape in _read(path).get("shapes", ())}
    return tuple(sorted(names - {IGNORE, BACKGROUND}))


class _Shapes:
    """Draws the shapes of an annotation in their order."""

    def __init__(self, chosen: Drawing) -> None:
        self._ids = {**chosen.ids, IGNORE: IGNORED, BACKGROUND: chosen.background}
        self._background = chosen.background

    def read(self, path: Path) -> Labels:
        """Draw polygons, rectangles and circles.

        Raises:
            DataError: a shape of another kind or of an unknown class, or a malformed file.
        """
        value = _read(path)
        try:
            size = int(value["imageHeight"]), int(value["imageWidth"])
            areas = [Area(self._ids[str(shape["label"])], _outline(shape)) for shape in value["shapes"]]
        except KeyError as error:
            raise DataError(f"annotation {path}: {error} is missing, or no class of that name") from error
        except (TypeError, ValueError) as error:
            raise DataError(f"annotation {path} is malformed: {error}") from error
        return drawn(size, areas, self._background)


def _outline(shape: Mapping[str, Any]) -> list[Point]:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    kind = shape.get("shape_type") or "polygon"
    if kind == "polygon":
        return points
    if kind == "rectangle":
        (left, top), (right, bottom) = points
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    if kind == "circle":
        (x, y), edge = points
        radius, turns = math.dist((x, y), edge), [2 * math.pi * step / CIRCLE_STEPS for step in range(CIRCLE_STEPS)]
        return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]
    raise ValueError(f"shape '{kind}' is not an area; allowed are polygon, rectangle and circle")
