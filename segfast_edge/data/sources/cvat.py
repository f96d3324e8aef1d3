"""CVAT for images: annotations.xml with polygons and masks, beside the pictures."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from segfast_edge.contract.classes import Colour
from segfast_edge.contract.shared.images import MAX_PIXELS, Labels
from segfast_edge.data.drawing import Drawing, drawing
from segfast_edge.data.pairs import Listing, Pair, PairedSource, divided, existing_root
from segfast_edge.data.polygons import Area, drawn
from segfast_edge.data.warn_once import warn_once
from segfast_edge.errors import DataError

LAYOUT = "annotations.xml (CVAT for images 1.1) and images/"
OPTIONS = ("background",)
FILE = "annotations.xml"
_AREAS = ("polygon", "mask")


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open such a folder; subsets of the task are its splits.

    What no area covers is the class background, or does not count with ``background=ignored``. Boxes, lines and points
    are not areas: they are left out, and a warning says so.
    """
    root = existing_root(root, "cvat", LAYOUT)
    if not (root / FILE).is_file():
        raise DataError(f"{root} is not an export of CVAT for images: no {FILE}; expected {LAYOUT}")
    tree = _parsed(root / FILE, (root / FILE).stat().st_mtime_ns)
    labels = [(str(label.findtext("name")), _colour(label.findtext("color"))) for label in tree.iter("label")]
    images = {str(image.get("name")): image for image in tree.iter("image")}
    if not labels or not images:
        raise DataError(f"{root / FILE} names no classes or no pictures; expected {LAYOUT}")
    chosen = drawing([n for n, _ in labels], options.get("background", "class"), [colour for _, colour in labels])
    places = {root / "images" / name: image for name, image in images.items()}
    if not any(path.is_file() for path in places):
        places = {root / name: image for name, image in images.items()}
    subsets = sorted({image.get("subset") or "" for image in images.values()})
    listings: dict[str, Callable[[], Listing]] = {
        subset.lower(): functools.partial(_listing, root, places, subset) for subset in subsets
    }
    whole = listings if "train" in listings else divided(functools.partial(_listing, root, places, None))
    first = next(iter(images.values()))
    size = int(first.get("height", 0)), int(first.get("width", 0))
    return PairedSource("cvat", chosen.classes, size, whole, _Elements(chosen, places))


@functools.lru_cache(maxsize=2)
def _parsed(path: Path, _: int) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()  # noqa: S314 - a file of the user's own; expat bounds its expansion
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"{path} is not readable: {error}") from error


def _colour(text: str | None) -> Colour:
    try:
        code = int((text or "#808080").lstrip("#"), 16)
    except ValueError:
        code = 0x808080
    return code >> 16 & 255, code >> 8 & 255, code & 255


def _listing(root: Path, places: Mapping[Path, ElementTree.Element], subset: str | None) -> Listing:
    del root
    wanted = {p: str(e.get("name")) for p, e in places.items() if subset is None or (e.get("subset") or "") == subset}
    pairs = tuple(Pair(name.rpartition(".")[0] or name, p, p) for p, name in sorted(wanted.items()) if p.is_file())
    return Listing(pairs, without_image=tuple(p for p in sorted(wanted) if not p.is_file()))


@dataclass(frozen=True, slots=True)
class _Elements:
    """Draws a picture's areas by their order in depth; a label is asked for by its picture's path."""

    chosen: Drawing
    places: Mapping[Path, ElementTree.Element]

    def read(self, path: Path) -> Labels:
        """Draw polygons and masks.

        Raises:
            DataError: an area of an unknown class, or one that is malformed.
        """
        image = self.places[path]
        try:
            size = int(image.get("height", 0)), int(image.get("width", 0))
            labels = np.array(drawn(size, (), self.chosen.background))
            for element in sorted(image, key=lambda element: int(element.get("z_order") or 0)):
                if element.tag in _AREAS:
                    self._draw(element, labels)
                elif element.tag != "tag":
                    warn_once(("cvat", element.tag), "%s has a %s, which is no area and is left out", path, element.tag)
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"the annotation of {path} is malformed: {type(error).__name__} {error}") from error
        return labels

    def _draw(self, element: ElementTree.Element, labels: Labels) -> None:
        label = self.chosen.ids[str(element.get("label"))]
        if element.tag == "mask":
            left, top, wide, high = (int(element.attrib[name]) for name in ("left", "top", "width", "height"))
            window = labels[top : top + high, left : left + wide]
            window[_run_lengths(element.attrib["rle"], (high, wide))[: window.shape[0], : window.shape[1]]] = label
            return
        points = [tuple(map(float, point.split(","))) for point in element.attrib["points"].split(";")]
        inside = drawn((labels.shape[0], labels.shape[1]), [Area(1, [(x, y) for x, y in points])], 0)
        labels[inside == 1] = label


def _run_lengths(text: str, size: tuple[int, int]) -> np.ndarray:
    """Read lengths of runs, row by row, of which the first is outside."""
    runs = [int(part) for part in text.split(",")]
    if sum(runs) != size[0] * size[1] or sum(runs) > MAX_PIXELS:
        raise ValueError(f"a mask of {sum(runs)} pixels does not fill {size[0]}x{size[1]}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)
