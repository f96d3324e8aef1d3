"""COCO: instances, stuff or panoptic annotations in JSON, as published and as other tools export them."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.shared.files import read_json
from segfast_edge.contract.shared.images import MAX_PIXELS, Labels
from segfast_edge.data.drawing import Drawing, drawing
from segfast_edge.data.label_files import read_label_picture
from segfast_edge.data.pairs import Listing, Pair, PairedSource, divided, existing_root
from segfast_edge.errors import ArtifactError, DataChoiceError, DataError, unknown

LAYOUT = "annotations/{instances,stuff,panoptic}_{train,val}2017.json and the pictures in train2017/ and val2017/"
OPTIONS = ("kind", "background")
KINDS = ("instances", "stuff", "panoptic")
ROBOFLOW = "_annotations.coco.json"  # beside the pictures of each split
_NAMED = re.compile(rf"^({'|'.join(KINDS)})_(.+)$")
_YEAR = re.compile(r"_?(19|20)\d\d$")


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open such a folder, or one with ``_annotations.coco.json`` in each split's folder.

    Option ``kind`` chooses among annotations if there are several. What no annotation covers is the class background
    for instances and does not count for the others, unless ``background`` is class or ignored.
    """
    root = existing_root(root, "coco", LAYOUT)
    kind, files = _annotations(root, options.get("kind"))
    first = _loaded(min(files.values(), key=lambda path: path.stat().st_size))
    chosen = drawing(list(first.names), options.get("background", "class" if kind == "instances" else "ignored"))
    reader = _Annotated(chosen, kind == "panoptic")
    listings: dict[str, Callable[[], Listing]] = {
        split: functools.partial(_listing, root, path, reader) for split, path in files.items()
    }
    image = next(iter(first.images.values()), {})
    size = int(image.get("height", 480)), int(image.get("width", 640))
    whole = listings if {"train", "val"} & set(listings) else divided(next(iter(listings.values())))
    return PairedSource("coco", chosen.classes, size, whole, reader)


def _annotations(root: Path, wanted: str | None) -> tuple[str, dict[str, Path]]:
    """Return the kind of annotations and the file of each split.

    Raises:
        DataError: there are none of the kind that is wanted.
        DataChoiceError: there are several kinds and none is wanted.
    """
    beside = {path.parent.name: path for path in sorted(root.glob(f"*/{ROBOFLOW}"))}
    if beside:
        return "instances", {"val" if split == "valid" else split: path for split, path in beside.items()}
    found: dict[str, dict[str, Path]] = {}
    for path in sorted((root / "annotations").glob("*.json")):
        if match := _NAMED.match(path.stem):
            found.setdefault(match.group(1), {})[_YEAR.sub("", match.group(2))] = path
    if not found:
        raise DataError(f"{root} is not COCO: no annotations/instances_*.json or others; expected {LAYOUT}")
    if wanted is None and len(found) > 1:
        raise DataChoiceError(
            f"{root} has {' and '.join(found)} of COCO; choose with --data coco:kind={next(iter(found))}"
        )
    kind = wanted or next(iter(found))
    if kind not in found:
        raise DataError(f"{root}: {unknown('kind of COCO annotations', kind, found)}")
    return kind, found[kind]


@dataclass(frozen=True, slots=True)
class _File:
    """An annotation file: pictures by id, annotations by picture, names and ids of the categories."""

    images: Mapping[int, Mapping[str, Any]]
    objects: Mapping[int, list[Mapping[str, Any]]]
    names: Mapping[str, int]


def _loaded(path: Path) -> _File:
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(path: Path, _: int) -> _File:
    try:
        value = read_json(path, "annotation file")
        images = {int(image["id"]): image for image in value["images"]}
        names = {str(c["name"]): int(c["id"]) for c in sorted(value["categories"], key=lambda c: int(c["id"]))}
        objects: dict[int, list[Mapping[str, Any]]] = {}
        for one in value["annotations"]:
            objects.setdefault(int(one["image_id"]), []).append(one)
    except (ArtifactError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not an annotation file of COCO: {error}") from error
    return _File(images, objects, names)


def _listing(root: Path, path: Path, reader: "_Annotated") -> Listing:
    found = _loaded(path)
    folder = _folder(root, path, [str(image["file_name"]) for image in found.images.values()])
    pairs, alone = [], []
    for key, image in sorted(found.images.items(), key=lambda item: str(item[1]["file_name"])):
        name = str(image["file_name"])
        label = _panoptic_png(path, found, key) if reader.panoptic else folder / name
        reader.where[label] = path, key
        if (folder / name).is_file():
            pairs.append(Pair(name.rpartition(".")[0] or name, folder / name, label))
        else:
            alone.append(folder / name)
    return Listing(tuple(pairs), without_image=tuple(alone))


def _folder(root: Path, path: Path, names: Iterable[str]) -> Path:
    """Return the folder with a split's pictures: beside the file, or by the split's name with or without its year."""
    if path.name == ROBOFLOW:
        return path.parent
    split = path.stem.partition("_")[2]
    short = _YEAR.sub("", split)
    places = [root / part / name for part in ("images", "") for name in (split, short, "")]
    first = next(iter(names), "")
    return next((place for place in places if (place / first).is_file()), root / split)


def _panoptic_png(path: Path, found: _File, key: int) -> Path:
    name = str(found.objects[key][0]["file_name"]) if found.objects.get(key) else f"{key:012}.png"
    beside = path.with_suffix("")
    return (beside if beside.is_dir() else path.parent.parent / path.stem) / name


@dataclass(frozen=True, slots=True)
class _Annotated:
    """Draws what is annotated in a picture; a label is asked for by the picture's path, or that of its panoptic PNG."""

    chosen: Drawing
    panoptic: bool
    where: dict[Path, tuple[Path, int]] = field(default_factory=dict)

    def read(self, path: Path) -> Labels:
        """Draw larger objects first, so that those on top of them stay visible.

        Raises:
            DataError: a category that the first file does not name, or a malformed annotation.
        """
        file, key = self.where[path]
        found = _loaded(file)
        ids = {number: self.chosen.ids.get(name, -1) for name, number in found.names.items()}
        if min(ids.values(), default=0) < 0:
            raise DataError(f"{file} names other categories than the other splits")
        try:
            objects = found.objects.get(key, [])
            return self._segments(path, objects, ids) if self.panoptic else self._drawn(found.images[key], objects, ids)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{file}, annotation of {path}: {type(error).__name__} {error}") from error

    def _drawn(self, image: Mapping[str, Any], objects: list[Mapping[str, Any]], ids: Mapping[int, int]) -> Labels:
        high, wide = int(image["height"]), int(image["width"])
        if high * wide > MAX_PIXELS:
            raise ValueError(f"a label of {high}x{wide} pixels cannot be drawn")
        labels = np.full((high, wide), self.chosen.background, np.uint8)
        masks = [(_mask(one["segmentation"], (high, wide)), ids[int(one["category_id"])]) for one in objects]
        for mask, label in sorted(masks, key=lambda pair: -int(pair[0].sum())):
            labels[mask] = label
        return labels

    def _segments(self, path: Path, objects: list[Mapping[str, Any]], ids: Mapping[int, int]) -> Labels:
        picture = read_label_picture(path)
        if picture.colours is None:
            raise ValueError("its PNG has no colours, which hold the numbers of the segments")
        red, green, blue = (picture.colours[..., part].astype(np.uint32) for part in range(3))
        segments = {int(s["id"]): ids[int(s["category_id"])] for one in objects for s in one["segments_info"]}
        numbers, places = np.unique(red | green << 8 | blue << 16, return_inverse=True)
        unknown_ = [int(number) for number in numbers if number and int(number) not in segments]
        if unknown_:
            raise ValueError(f"its PNG has segment {unknown_[0]}, which no annotation names")
        table = np.array([segments.get(int(number), self.chosen.background) for number in numbers], np.uint8)
        return table[places].reshape(red.shape)


def _mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Return an object's pixels, from polygons or run lengths."""
    try:
        from pycocotools import mask as coco
    except ImportError as error:
        raise DataError("pycocotools is missing. Run: pip install 'segfast-edge[annotations]'") from error
    if segmentation == []:
        return np.zeros(size, bool)
    try:
        if isinstance(segmentation, list):
            runs = coco.merge(coco.frPyObjects([list(map(float, part)) for part in segmentation], *size))
        else:
            runs = (
                segmentation if not isinstance(segmentation["counts"], list) else coco.frPyObjects(segmentation, *size)
            )
        return np.asarray(coco.decode(runs), bool)
    except Exception as error:
        if type(error) is not Exception:  # which is all that pycocotools raises of its own
            raise
        raise ValueError(error) from error
