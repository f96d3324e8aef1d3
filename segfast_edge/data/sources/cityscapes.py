"""Cityscapes, fine annotations: 2048 x 1024, the 19 train ids, from label ids, train ids or polygons."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from segfast_edge.contract.classes import IGNORED
from segfast_edge.contract.shared.files import read_json
from segfast_edge.contract.shared.images import Labels, read_labels
from segfast_edge.data.cityscapes_classes import NINETEEN
from segfast_edge.data.pairs import LabelMap, LabelReader, Listing, PairedSource, existing_root, files_below, match
from segfast_edge.data.polygons import Area, drawn
from segfast_edge.errors import ArtifactError, DataError, unknown

LAYOUT = "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and gtFine/{train,val}/CITY/*_gtFine_labelIds.png"
OPTIONS = ("labels",)
SIZE = (1024, 2048)
IMAGE_END = "_leftImg8bit.png"
# kinds of label files, the one that is published and holds most first
ENDS = {
    "labelIds": "_gtFine_labelIds.png",
    "labelTrainIds": "_gtFine_labelTrainIds.png",
    "polygons": "_gtFine_polygons.json",
}
LABELS = (  # in the order of the label ids
    "unlabeled", "ego vehicle", "rectification border", "out of roi", "static", "dynamic", "ground", "road", "sidewalk",
    "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole", "polegroup",
    "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus",
    "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
NEVER_PAINTED = "license plate"  # its label id is -1
TRAIN_IDS = {
    value: NINETEEN.names.index(name) if name in NINETEEN.names else IGNORED for value, name in enumerate(LABELS)
}


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``leftImg8bit`` and ``gtFine``; its test split has no ground truth and is left out.

    Option ``labels`` chooses among the kinds of label files, of which the first one that exists is taken.
    """
    root = existing_root(root, "cityscapes", LAYOUT)
    splits = [split for split in ("train", "val") if (root / "leftImg8bit" / split).is_dir()]
    if not splits:
        raise DataError(f"{root} is not Cityscapes: no leftImg8bit/train or val; expected {LAYOUT}")
    kind = options.get("labels") or _first_kind(root)
    if kind not in ENDS:
        raise DataError(unknown("kind of Cityscapes labels", kind, ENDS))
    listings: dict[str, Callable[[], Listing]] = {
        split: functools.partial(_listing, root, split, kind) for split in splits
    }
    readers: dict[str, LabelReader] = {
        "labelIds": LabelMap(TRAIN_IDS, read_labels),
        "labelTrainIds": LabelMap.identity(NINETEEN),
        "polygons": _Polygons(),
    }
    return PairedSource("cityscapes", NINETEEN, SIZE, listings, readers[kind])


def _first_kind(root: Path) -> str:
    found = (kind for kind, end in ENDS.items() if next((root / "gtFine").rglob(f"*{end}"), None))
    return next(found, "labelIds")


def _listing(root: Path, split: str, kind: str) -> Listing:
    images = files_below(root / "leftImg8bit" / split, (IMAGE_END,))
    return match(*(_by_frame(files) for files in (images, files_below(root / "gtFine" / split, (ENDS[kind],)))))


def _by_frame(files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """Name files by their frame, which holds the city too."""
    return [(name.rpartition("/")[2], path) for name, path in files]


class _Polygons:
    """Draws annotations as Cityscapes' own tools do: in their order, deleted ones left out, a group as its members."""

    def read(self, path: Path) -> Labels:
        try:
            value = read_json(path, "annotation")
            size = int(value["imgHeight"]), int(value["imgWidth"])
            objects = [o for o in value["objects"] if not o.get("deleted") and o["label"] != NEVER_PAINTED]
            areas = [Area(_train_id(str(o["label"])), [(x, y) for x, y in o["polygon"]]) for o in objects]
            return drawn(size, areas, IGNORED)
        except (ArtifactError, KeyError, TypeError, ValueError, DataError) as error:
            raise DataError(f"{path} is not an annotation of Cityscapes: {error}") from error


def _train_id(name: str) -> int:
    if name not in LABELS:
        name = name.removesuffix("group")
    if name not in LABELS:
        raise DataError(f"label '{name}' is not one of Cityscapes")
    return TRAIN_IDS[LABELS.index(name)]
