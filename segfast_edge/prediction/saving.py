"""What can be written of a segmented picture: one function a kind, and how its file's name ends."""

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.masks import class_shares
from segfast_edge.contract.overlay import colour_mask, overlay
from segfast_edge.contract.shared.files import replacing_file, write_json
from segfast_edge.contract.shared.images import Frame, Labels, write_picture
from segfast_edge.errors import DataError, SegfastError, unknown

DEFAULT_KINDS = ("labels", "colour", "overlay")


@dataclass(frozen=True, slots=True)
class Look:
    """How results are drawn: the overlay's opacity, and which labels are shown; None shows all.

    What is not shown is black in colour, and in an overlay as it is in the picture; labels are always complete.
    """

    opacity: float = 0.5
    shown: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise DataError(f"--opacity {self.opacity} is outside 0 to 1")

    def labels(self, classes: ClassSet) -> list[int]:
        """Return the labels that are shown."""
        return [label for label in range(len(classes)) if self.shown is None or label in self.shown]

    def hidden(self, mask: Labels, classes: ClassSet) -> np.ndarray:
        """Return which pixels are not shown."""
        table = np.ones(256, bool)
        table[self.labels(classes)] = False
        return np.asarray(table[mask])


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A picture and its labels, both height x width."""

    source: str
    frame: Frame
    mask: Labels
    classes: ClassSet
    look: Look

    def colour(self) -> Frame:
        """Return the shown classes in their colours."""
        painted = colour_mask(self.mask, self.classes)
        if self.look.shown is not None:
            painted = np.where(self.look.hidden(self.mask, self.classes)[..., np.newaxis], np.uint8(0), painted)
        return painted

    def overlay(self) -> Frame:
        """Return the shown classes over the picture."""
        painted = overlay(self.frame, self.mask, self.classes, self.look.opacity)
        if self.look.shown is not None:
            painted = np.where(self.look.hidden(self.mask, self.classes)[..., np.newaxis], self.frame, painted)
        return painted

    def side_by_side(self) -> Frame:
        """Return the picture, and the overlay at its right."""
        return np.concatenate([self.frame, self.overlay()], axis=1)

    def shares(self) -> dict[str, float]:
        """Return each shown class's share of the pixels, 0 to 1."""
        every = class_shares(self.mask, self.classes)
        return {self.classes.names[label]: every[self.classes.names[label]] for label in self.look.labels(self.classes)}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        high, wide = self.mask.shape
        return {"picture": self.source, "height": high, "width": wide, "shares": self.shares()}


def _coco(one: Segmentation) -> dict[str, Any]:
    """Return a COCO document of one picture: for each class that occurs, its pixels as uncompressed run lengths."""
    high, wide = one.mask.shape
    annotations: list[dict[str, Any]] = []
    for label in one.look.labels(one.classes):
        inside = one.mask == label
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if not len(rows):
            continue
        box = [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]
        annotations.append({
            "id": len(annotations) + 1, "image_id": 1, "category_id": label + 1, "iscrowd": 0, "bbox": box,
            "area": int(inside.sum()), "segmentation": {"size": [high, wide], "counts": _run_lengths(inside)},
        })  # fmt: skip
    return {
        "images": [{"id": 1, "file_name": one.source, "height": high, "width": wide}],
        "annotations": annotations,
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(one.classes.names)],
    }


def _run_lengths(inside: np.ndarray) -> list[int]:
    """Return COCO's run lengths: down the columns, beginning with what is outside."""
    flat = np.concatenate([[False], inside.T.ravel()])
    borders = np.flatnonzero(np.diff(flat)) if flat.any() else np.array([], int)
    runs = np.diff(np.concatenate([[0], borders, [inside.size]]))
    return [int(run) for run in runs] if runs[-1] else [int(run) for run in runs[:-1]]


def _contours(one: Segmentation) -> dict[str, Any]:
    """Return the outlines of each class's regions as polygons of x and y, through the regions' outermost pixels."""
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        raise SegfastError("--save contours needs OpenCV. Run: pip install 'segfast-edge[camera]'") from error
    found = []
    for label in one.look.labels(one.classes):
        inside = (one.mask == label).astype(np.uint8)
        polygons, tree = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        links = [] if tree is None else tree.reshape(-1, 4).tolist()  # next, previous, first hole, outline of the hole
        for place, (_, _, _, around) in enumerate(links):
            if around < 0:
                holes = [polygons[hole][:, 0].tolist() for hole, link in enumerate(links) if link[3] == place]
                found.append(
                    {"class": one.classes.names[label], "outer": polygons[place][:, 0].tolist(), "holes": holes}
                )
    high, wide = one.mask.shape
    return {"picture": one.source, "height": high, "width": wide, "contours": found}


def _picture(pixels: Callable[[Segmentation], Any]) -> Callable[[Path, Segmentation], None]:
    return lambda path, one: write_picture(path, pixels(one), fast=True)


def _document(values: Callable[[Segmentation], Any]) -> Callable[[Path, Segmentation], None]:
    return lambda path, one: write_json(path, values(one))


_KINDS: Mapping[str, tuple[str, Callable[[Path, Segmentation], None]]] = {
    "labels": (".mask.png", _picture(lambda one: one.mask)),
    "colour": (".colour.png", _picture(Segmentation.colour)),
    "overlay": (".overlay.png", _picture(Segmentation.overlay)),
    "side-by-side": (".side-by-side.png", _picture(Segmentation.side_by_side)),
    "json": (".json", _document(Segmentation.to_json)),
    "coco": (".coco.json", _document(_coco)),
    "contours": (".contours.json", _document(_contours)),
}
KINDS = tuple(_KINDS)
VIDEO_KINDS: Mapping[str, Callable[[Segmentation], Frame]] = {
    "overlay": Segmentation.overlay,
    "side-by-side": Segmentation.side_by_side,
}


def ending(kind: str) -> str:
    """Return how the name of a kind's file ends."""
    return _KINDS[kind][0]


def save(kind: str, path: Path, one: Segmentation) -> None:
    """Write one kind, whole or not at all."""
    _KINDS[kind][1](path, one)


def kinds_of(text: str) -> tuple[str, ...]:
    """Read a comma-separated list of kinds.

    Raises:
        SegfastError: a kind that does not exist, or none.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in KINDS:
            raise SegfastError(unknown("kind of result", name, KINDS))
    if not names:
        raise SegfastError(f"--save names nothing; choose from {', '.join(KINDS)}")
    return names


def shown_of(text: str | None, classes: ClassSet) -> frozenset[int] | None:
    """Read a comma-separated list of classes' names as labels; None for all.

    Raises:
        SegfastError: a class that the network does not have, or none.
    """
    if text is None:
        return None
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in classes.names:
            raise SegfastError(unknown("class", name, classes.names))
    if not names:
        raise SegfastError(f"--classes names no class; choose from {', '.join(classes.names)}")
    return frozenset(classes.names.index(name) for name in names)


def join_coco(parts: Iterable[Path], path: Path) -> None:
    """Write the COCO documents of pictures as one, whole or not at all."""
    whole: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    for part in parts:
        one: dict[str, Any] = json.loads(part.read_text(encoding="utf-8"))
        image = len(whole["images"]) + 1
        whole["images"].append(one["images"][0] | {"id": image})
        for annotation in one["annotations"]:
            whole["annotations"].append(annotation | {"id": len(whole["annotations"]) + 1, "image_id": image})
        whole["categories"] = one["categories"]
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(whole), encoding="utf-8")


def problem_of_video(kinds: Sequence[str]) -> str:
    """Return why a video cannot be written as any of ``kinds``; empty if it can."""
    if set(kinds) & set(VIDEO_KINDS):
        return ""
    return f"--save {','.join(kinds)} has nothing for a video; add {' or '.join(VIDEO_KINDS)}"
