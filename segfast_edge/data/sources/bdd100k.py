"""BDD100K's 10k semantic segmentation: 1280 x 720, the 19 classes of Cityscapes, 255 ignored."""

import functools
from collections.abc import Mapping
from pathlib import Path

from segfast_edge.data.cityscapes_classes import NINETEEN
from segfast_edge.data.pairs import LabelMap, Listing, PairedSource, existing_root, files_in, match
from segfast_edge.errors import DataError

LAYOUT = "images/10k/{train,val}/*.jpg and labels/sem_seg/masks/{train,val}/*.png"
OPTIONS: tuple[str, ...] = ()
SIZE = (720, 1280)
OLD_END = "_train_id"
# folders of pictures and labels, and what ends a label's stem: as published now, and as in the earlier bdd100k_seg
_PLACES = (
    ("images/10k", "labels/sem_seg/masks", ""),
    ("seg/images", "seg/labels", OLD_END),
    ("images", "labels", OLD_END),
)


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``images`` and ``labels``; its test split has no labels and is left out."""
    del options
    root = existing_root(root, "bdd100k", LAYOUT)
    for images, labels, end in _PLACES:
        splits = [split for split in ("train", "val") if (root / images / split).is_dir()]
        if splits and (not end or any((root / labels / splits[0]).glob(f"*{end}.png"))):
            listings = {s: functools.partial(_listing, root / images / s, root / labels / s, end) for s in splits}
            return PairedSource("bdd100k", NINETEEN, SIZE, listings, LabelMap.identity(NINETEEN))
    raise DataError(f"{root} is not BDD100K's 10k set: no images/10k/train or val; expected {LAYOUT}")


def _listing(images: Path, labels: Path, end: str) -> Listing:
    found = [(stem.removesuffix(end), path) for stem, path in files_in(labels, (".png",)) if stem.endswith(end)]
    return match(files_in(images, (".jpg",)), found)
