"""Pascal VOC's segmentation, 21 classes with the background, and exports of CVAT in the same folders."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.shared.images import IMAGE_SUFFIXES
from segfast_edge.data.class_tables import read_table
from segfast_edge.data.label_files import Coding, LabelFiles, by_colour, identity
from segfast_edge.data.pairs import Listing, PairedSource, divided, existing_root, files_in, match
from segfast_edge.errors import DataChoiceError, DataError

LAYOUT = "JPEGImages/, SegmentationClass/ and ImageSets/Segmentation/{train,val}.txt"
OPTIONS = ("labels",)
SIZE = (375, 500)  # of most pictures
IMAGES, LABELS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
CVAT_TABLE = "labelmap.txt"
BORDER = (224, 224, 192)  # around every object, and does not count
NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
CLASSES = ClassSet(NAMES, ((0, 0, 0), *distinct_palette(len(NAMES) - 1)))


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open VOC2012 or another year, or a folder that holds one of them.

    Splits are those whose lists name pictures with labels. Option ``labels`` names the folder of labels, such as
    SegmentationClassAug. A folder with CVAT's ``labelmap.txt`` has the classes and colours that it lists.
    """
    root = _year(existing_root(root, "voc", LAYOUT))
    labels = root / options.get("labels", LABELS)
    if not labels.is_dir():
        raise DataError(f"{root} has no folder {labels.name}; expected {LAYOUT}")
    coding = read_table(root / CVAT_TABLE) if (root / CVAT_TABLE).is_file() else _published()
    lists = [path for path in sorted((root / LISTS).glob("*.txt")) if path.stem != "test"]
    listings: dict[str, Callable[[], Listing]] = {
        path.stem: functools.partial(_listing, root / IMAGES, labels, path) for path in lists
    }
    if not {"train", "val"} & set(listings):
        listings = divided(functools.partial(_everything, root / IMAGES, labels))
    listings.pop("trainval", None)  # the two together have that name anyway
    return PairedSource("voc", coding.classes, SIZE, listings, LabelFiles(coding))


def _year(root: Path) -> Path:
    if (root / IMAGES).is_dir():
        return root
    years = [path for path in (*root.glob("VOC20*"), *root.glob("VOCdevkit/VOC20*")) if (path / LABELS).is_dir()]
    if len(years) > 1:
        raise DataChoiceError(f"{root} has {', '.join(sorted(p.name for p in years))}; name one of them as the folder")
    if not years:
        raise DataError(f"{root} is not Pascal VOC: no {IMAGES}; expected {LAYOUT}")
    return years[0]


def _published() -> Coding:
    return Coding(CLASSES, identity(CLASSES), by_colour(CLASSES, [BORDER]), origin="Pascal VOC's palette")


def _everything(images: Path, labels: Path) -> Listing:
    """Return the pictures that have labels; most of VOC's have none."""
    return Listing(match(files_in(images, IMAGE_SUFFIXES), files_in(labels, (".png",))).pairs)


def _listing(images: Path, labels: Path, path: Path) -> Listing:
    named = {line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}
    there = [(stem, file) for stem, file in files_in(images, IMAGE_SUFFIXES) if stem in named]
    missing = sorted(named - {stem for stem, _ in there})
    return match(
        [*there, *((stem, images / f"{stem}.jpg") for stem in missing)],
        [(stem, file) for stem, file in files_in(labels, (".png",)) if stem in named],
    )
