"""SYNTHIA-RAND-CITYSCAPES: 1280 x 760, class ids in the first channel of 16-bit PNG files."""

from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.classes import IGNORED, ClassSet
from segfast_edge.data.pairs import LabelMap, Listing, PairedSource, divided, existing_root, files_in, match
from segfast_edge.data.png16 import first_channel
from segfast_edge.errors import DataError

LAYOUT = "RGB/*.png and GT/LABELS/*.png"
OPTIONS: tuple[str, ...] = ()
SIZE = (760, 1280)
CLASSES = ClassSet(  # ids 1 to 22 as published; 0 is void
    names=(
        "Sky", "Building", "Road", "Sidewalk", "Fence", "Vegetation", "Pole", "Car", "Traffic sign", "Pedestrian",
        "Bicycle", "Motorcycle", "Parking-slot", "Road-work", "Traffic light", "Terrain", "Rider", "Truck", "Bus",
        "Train", "Wall", "Lanemarking",
    ),
    palette=(
        (70, 130, 180), (70, 70, 70), (128, 64, 128), (244, 35, 232), (64, 64, 128), (107, 142, 35),
        (153, 153, 153), (0, 0, 142), (220, 220, 0), (220, 20, 60), (119, 11, 32), (0, 0, 230), (250, 170, 160),
        (128, 64, 64), (250, 170, 30), (152, 251, 152), (255, 0, 0), (0, 0, 70), (0, 60, 100), (0, 80, 100),
        (102, 102, 156), (220, 220, 220),
    ),
)  # fmt: skip


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``RGB`` and ``GT``; it has no published splits, so a fifth by name becomes val."""
    del options
    root = existing_root(root, "synthia", LAYOUT)
    if not (root / "RGB").is_dir():
        raise DataError(f"{root} is not SYNTHIA-RAND-CITYSCAPES: no folder RGB; expected {LAYOUT}")

    def everything() -> Listing:
        return match(files_in(root / "RGB", (".png",)), files_in(root / "GT/LABELS", (".png",)))

    mapping = {0: IGNORED} | {label + 1: label for label in range(len(CLASSES))}
    label_map = LabelMap(mapping, first_channel)
    return PairedSource("synthia", CLASSES, SIZE, divided(everything), label_map, convert=True)
