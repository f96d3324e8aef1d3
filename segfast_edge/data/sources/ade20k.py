"""ADE20K as its scene parsing challenge publishes it: 150 classes, label 0 being whatever is none of them."""

from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.classes import IGNORED, ClassSet, distinct_palette
from segfast_edge.contract.shared.images import read_labels
from segfast_edge.data.pairs import LabelMap, PairedSource, existing_root, split_listings
from segfast_edge.errors import DataError

LAYOUT = "images/{training,validation}/ADE_*.jpg and annotations/{training,validation}/ADE_*.png"
OPTIONS = ("reduce-zero-label",)
SIZE = (512, 683)  # of most pictures; the shorter side is 512 at least
FOLDERS = {"train": "training", "val": "validation"}
FIRST = "ADE_*"
OTHER = "other"
NAMES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet",
    "sidewalk", "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water",
    "painting", "sofa", "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk",
    "rock", "wardrobe", "lamp", "bathtub", "railing", "cushion", "base", "box", "column", "signboard",
    "chest of drawers", "counter", "sand", "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path",
    "stairs", "runway", "case", "pool table", "pillow", "screen door", "stairway", "river", "bridge", "bookcase",
    "blind", "coffee table", "toilet", "flower", "book", "hill", "bench", "countertop", "stove", "palm",
    "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine", "hovel", "bus", "towel", "light",
    "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television receiver", "airplane",
    "dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster",
    "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool",
    "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank",
    "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture",
    "hood", "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor",
    "bulletin board", "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``images`` and ``annotations``, or ``ADEChallengeData2016``.

    Label 0 does not count and labels 1 to 150 become ids 0 to 149, which other tools call reduce_zero_label; with
    ``reduce-zero-label=no`` labels are ids as they stand and 0 is a class of its own.
    """
    root = existing_root(root, "ade20k", LAYOUT)
    if (root / "ADEChallengeData2016").is_dir():
        root = root / "ADEChallengeData2016"
    if not any(any((root / "annotations" / folder).glob(FIRST)) for folder in FOLDERS.values()):
        raise DataError(f"{root} is not ADE20K: no annotations/training/ADE_*.png; expected {LAYOUT}")
    reduce = options.get("reduce-zero-label", "yes")
    if reduce not in ("yes", "no"):
        raise DataError(f"ade20k option reduce-zero-label={reduce}; allowed are yes and no")
    names = NAMES if reduce == "yes" else (OTHER, *NAMES)
    classes = ClassSet(names, distinct_palette(len(names)), IGNORED if reduce == "yes" else None)
    first = {0: IGNORED} if reduce == "yes" else {0: 0}
    mapping = first | {value: value - (reduce == "yes") for value in range(1, len(NAMES) + 1)}
    folders = {s: (root / "images" / f, root / "annotations" / f) for s, f in FOLDERS.items()}
    return PairedSource("ade20k", classes, SIZE, split_listings(folders, (".jpg",)), LabelMap(mapping, read_labels))
