"""BDD100K's 10k semantic segmentation: 1280 x 720, the 19 classes of Cityscapes, 255 ignored."""

from collections.abc import Mapping
from pathlib import Path

from segfast_edge.data.cityscapes_classes import NINETEEN
from segfast_edge.data.pairs import LabelMap, PairedSource, existing_root, split_listings
from segfast_edge.errors import DataError

LAYOUT = "images/10k/{train,val}/*.jpg and labels/sem_seg/masks/{train,val}/*.png"
OPTIONS: tuple[str, ...] = ()
SIZE = (720, 1280)


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``images`` and ``labels``; its test split has no labels and is left out."""
    del options
    root = existing_root(root, "bdd100k", LAYOUT)
    folders = {s: (root / "images/10k" / s, root / "labels/sem_seg/masks" / s) for s in ("train", "val")}
    listings = split_listings(folders, (".jpg",))
    if not listings:
        raise DataError(f"{root} is not BDD100K's 10k set: no images/10k/train or val; expected {LAYOUT}")
    return PairedSource("bdd100k", NINETEEN, SIZE, listings, LabelMap.identity(NINETEEN))
