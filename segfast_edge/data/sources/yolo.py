"""YOLO segmentation: one text file of polygons for each picture, and data.yaml to name the classes."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segfast_edge.contract.shared.images import IMAGE_SUFFIXES, Labels
from segfast_edge.data.drawing import Drawing, drawing
from segfast_edge.data.pairs import Listing, Pair, PairedSource, divided, existing_root, files_below
from segfast_edge.data.polygons import Area, drawn
from segfast_edge.data.splits import SPLIT_NAMES
from segfast_edge.errors import DataError

LAYOUT = "images/{train,val}/ and labels/{train,val}/*.txt, and a data.yaml that names the classes"
OPTIONS = ("background",)
END = ".txt"


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open such a folder; ``train/images`` and ``train/labels`` are found too.

    A picture without a text file has no objects. What no object covers is the class background, or does not count with
    ``background=ignored``.
    """
    root = existing_root(root, "yolo", LAYOUT)
    folders = _folders(root)
    if not any(any(labels.rglob(f"*{END}")) for _, labels in folders.values()):
        raise DataError(f"{root} is not YOLO segmentation: no labels/*{END}; expected {LAYOUT}")
    chosen = drawing(_names(root), options.get("background", "class"))
    listings: dict[str, Callable[[], Listing]] = {s: functools.partial(_listing, *both) for s, both in folders.items()}
    if set(listings) == {""}:
        listings = divided(listings[""])
    pairs = next(iter(listings.values()))().pairs
    if not pairs:
        raise DataError(f"{root} has no pictures beside its labels; expected {LAYOUT}")
    return PairedSource("yolo", chosen.classes, _size(pairs[0].image), listings, _Lines(chosen))


def _folders(root: Path) -> dict[str, tuple[Path, Path]]:
    """Return the folders of pictures and of labels by split, "" if there are no splits."""
    for images, labels in (("images/{}", "labels/{}"), ("{}/images", "{}/labels")):
        found = {
            split: (root / images.format(name), root / labels.format(name))
            for split, names in SPLIT_NAMES.items()
            for name in (*names, f"{split}2017")
            if (root / images.format(name)).is_dir() and (root / labels.format(name)).is_dir()
        }
        if found:
            return found
    return {"": (root / "images", root / "labels")} if (root / "images").is_dir() else {}


def _listing(images: Path, labels: Path) -> Listing:
    pictures = files_below(images, IMAGE_SUFFIXES)
    texts = dict(files_below(labels, (END,)))
    pairs = tuple(Pair(name, path, texts.get(name, labels / f"{name}{END}")) for name, path in pictures)
    return Listing(pairs, without_image=tuple(texts[name] for name in sorted(texts.keys() - dict(pictures).keys())))


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.height, picture.width


def _names(root: Path) -> list[str]:
    path = next((path for path in (root / "data.yaml", *sorted(root.glob("*.yaml"))) if path.is_file()), None)
    if path is None:
        raise DataError(f"{root} has no data.yaml to name its classes; expected {LAYOUT}")
    try:
        import yaml

        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
    except ImportError as error:
        raise DataError("PyYAML is missing. Run: pip install 'segfast-edge[annotations]'") from error
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataError(f"{path} does not name the classes: {type(error).__name__} {error}") from error
    listed = [value[key] for key in sorted(value)] if isinstance(value, dict) else value
    if (
        not isinstance(listed, list)
        or not listed
        or (isinstance(value, dict) and sorted(value) != [*range(len(value))])
    ):
        raise DataError(f"{path}: names is not a list, nor numbered from 0 on")
    return [str(name) for name in listed]


class _Lines:
    """Draws the polygons of a text file onto a label of its picture's size."""

    def __init__(self, chosen: Drawing) -> None:
        self._chosen = chosen

    def read(self, path: Path) -> Labels:
        """Draw the objects in their order; a file that does not exist has none.

        Raises:
            DataError: a line that is not a class and a polygon, or no picture to take the size from.
        """
        size = _size(_picture_of(path))
        areas = [] if not path.is_file() else [self._area(path, n, line, size) for n, line in _lines(path)]
        return drawn(size, areas, self._chosen.background)

    def _area(self, path: Path, number: int, line: str, size: tuple[int, int]) -> Area:
        try:
            name, *numbers = line.split()
            label, parts = int(name), np.array(numbers, np.float64)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: '{line}' is not a class and a polygon") from error
        if len(parts) == 4:
            raise DataError(f"{path}, line {number} is a box, not a polygon: this is YOLO detection, not segmentation")
        if len(parts) < 6 or len(parts) % 2 or not 0 <= label < len(self._chosen.ids):
            raise DataError(
                f"{path}, line {number}: '{line}' is not one of {len(self._chosen.ids)} classes and a polygon"
            )
        points = parts.reshape(-1, 2) * (size[1], size[0])
        return Area([*self._chosen.ids.values()][label], [(float(x), float(y)) for x, y in points])


def _lines(path: Path) -> list[tuple[int, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _picture_of(path: Path) -> Path:
    """Return the picture of a text file: the same path, with images in place of the last labels."""
    parts = list(path.parts)
    at = len(parts) - 1 - parts[::-1].index("labels")
    stem = Path(*parts[:at], "images", *parts[at + 1 :]).with_suffix("")
    ends = [form for end in IMAGE_SUFFIXES for form in (end, end.upper())]
    found = next((p for p in (stem.parent / f"{stem.name}{end}" for end in ends) if p.is_file()), None)
    if found is None:
        raise DataError(f"label {path} has no picture {stem}")
    return found
