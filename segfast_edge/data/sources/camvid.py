"""CamVid as the SegNet tutorial publishes it: 480 x 360, 11 classes and void."""

from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.shared.images import IMAGE_SUFFIXES
from segfast_edge.data.camvid_classes import CLASSES
from segfast_edge.data.pairs import LabelMap, PairedSource, existing_root, split_listings
from segfast_edge.errors import DataError

SPLITS = ("train", "val", "test")
LAYOUT = "train/ trainannot/ val/ valannot/ [test/ testannot/]"
OPTIONS: tuple[str, ...] = ()
SIZE = (360, 480)


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds the splits; label files are 8-bit ids 0 to 11, of which 11 is void."""
    del options
    root = existing_root(root, "camvid", LAYOUT)
    listings = split_listings({split: (root / split, root / f"{split}annot") for split in SPLITS}, IMAGE_SUFFIXES)
    if not listings:
        raise DataError(f"{root} is not CamVid: none of {', '.join(SPLITS)} is there; expected {LAYOUT}")
    return PairedSource("camvid", CLASSES, SIZE, listings, LabelMap.identity(CLASSES))
