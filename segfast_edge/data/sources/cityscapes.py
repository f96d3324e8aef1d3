"""Cityscapes, fine annotations: 2048 x 1024, label ids mapped to the 19 train ids."""

import functools
from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.classes import IGNORED
from segfast_edge.contract.shared.images import read_labels
from segfast_edge.data.cityscapes_classes import NINETEEN
from segfast_edge.data.pairs import LabelMap, Listing, PairedSource, existing_root, match
from segfast_edge.errors import DataError

LAYOUT = "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and gtFine/{train,val}/CITY/*_gtFine_labelIds.png"
OPTIONS: tuple[str, ...] = ()
SIZE = (1024, 2048)
LABEL_IDS = 34  # 0 to 33; the licence plates' -1 is never painted
SCORED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)  # in the order of the train ids
IMAGE_END, LABEL_END = "_leftImg8bit.png", "_gtFine_labelIds.png"


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``leftImg8bit`` and ``gtFine``; its test split has no ground truth and is left out."""
    del options
    root = existing_root(root, "cityscapes", LAYOUT)
    listings = {
        split: functools.partial(_listing, root, split)
        for split in ("train", "val")
        if (root / "leftImg8bit" / split).is_dir()
    }
    if not listings:
        raise DataError(f"{root} is not Cityscapes: no leftImg8bit/train or val; expected {LAYOUT}")
    mapping = dict.fromkeys(range(LABEL_IDS), IGNORED) | {value: train for train, value in enumerate(SCORED)}
    return PairedSource("cityscapes", NINETEEN, SIZE, listings, LabelMap(mapping, read_labels))


def _listing(root: Path, split: str) -> Listing:
    images = [(p.name.removesuffix(IMAGE_END), p) for p in (root / "leftImg8bit" / split).glob(f"*/*{IMAGE_END}")]
    labels = [(p.name.removesuffix(LABEL_END), p) for p in (root / "gtFine" / split).glob(f"*/*{LABEL_END}")]
    return match(images, labels)
