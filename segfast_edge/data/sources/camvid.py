"""CamVid: 480 x 360 with 11 classes as the SegNet tutorial publishes it, or the original 960 x 720 with 32 colours."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from segfast_edge.contract.shared.images import IMAGE_SUFFIXES
from segfast_edge.data import camvid_original
from segfast_edge.data.camvid_classes import CLASSES
from segfast_edge.data.label_files import LabelFiles
from segfast_edge.data.pairs import (
    LabelMap,
    Listing,
    PairedSource,
    divided,
    existing_root,
    files_below,
    match,
    split_listings,
)
from segfast_edge.errors import DataError

SPLITS = ("train", "val", "test")
LAYOUT = (
    "train/ trainannot/ val/ valannot/ [test/ testannot/], or the original 701_StillsRaw_full/ LabeledApproved_full/"
)
OPTIONS = ("classes",)
SIZE, ORIGINAL_SIZE = (360, 480), (720, 960)
STILLS, APPROVED = "701_StillsRaw_full", "LabeledApproved_full"
LABEL_END = "_L.png"


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds the splits, or the 701 stills; the layout is found by looking.

    Label files are 8-bit ids 0 to 11 in the SegNet tutorial's layout, of which 11 is void, and colours in the original
    and in Kaggle's copy of it (``train/ train_labels/``): there ``classes=32`` keeps all 32 instead of the usual 11.
    """
    root = existing_root(root, "camvid", LAYOUT)
    folders = {split: (root / split, root / f"{split}annot") for split in SPLITS}
    if any(labels.is_dir() for _, labels in folders.values()):
        if "classes" in options:
            raise DataError(f"camvid option classes: {root} has the 11 classes of the SegNet tutorial and no others")
        listings = split_listings(folders, IMAGE_SUFFIXES)
        return PairedSource("camvid", CLASSES, SIZE, listings, LabelMap.identity(CLASSES))
    listings = _original(root)
    if not listings:
        raise DataError(f"{root} is not CamVid: none of {', '.join(SPLITS)} is there; expected {LAYOUT}")
    coding = camvid_original.coding(root, options.get("classes", "11"))
    return PairedSource("camvid", coding.classes, ORIGINAL_SIZE, listings, LabelFiles(coding))


def _original(root: Path) -> dict[str, Callable[[], Listing]]:
    """Return the listings of the stills, which have no splits, or of Kaggle's copy; none if it is neither."""
    if (root / STILLS).is_dir() and (root / APPROVED).is_dir():
        return divided(functools.partial(_listing, root / STILLS, root / APPROVED))
    return {
        split: functools.partial(_listing, root / split, root / f"{split}_labels")
        for split in SPLITS
        if (root / split).is_dir() and any((root / f"{split}_labels").glob(f"*{LABEL_END}"))
    }


def _listing(images: Path, labels: Path) -> Listing:
    return match(files_below(images, IMAGE_SUFFIXES), files_below(labels, (LABEL_END,)))
