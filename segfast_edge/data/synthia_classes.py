"""The meaning of label values in SYNTHIA's releases, which differ; 0 is void in all of them."""

from segfast_edge.contract.classes import IGNORED, ClassSet, Colour
from segfast_edge.data.label_files import Coding

CITYSCAPES = ClassSet(  # ids 1 to 22 of RAND-CITYSCAPES
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
_COLOURS: dict[str, Colour] = {  # of RAND-CVPR16 and SEQS, in the order of ids 1 to 12
    "Sky": (128, 128, 128),
    "Building": (128, 0, 0),
    "Road": (128, 64, 128),
    "Sidewalk": (0, 0, 192),
    "Fence": (64, 64, 128),
    "Vegetation": (128, 128, 0),
    "Pole": (192, 192, 128),
    "Car": (64, 0, 128),
    "Traffic sign": (192, 128, 128),
    "Pedestrian": (64, 64, 0),
    "Bicycle": (0, 128, 192),
    "Lanemarking": (0, 175, 0),
}
# the paper's 13 classes, of which void is one
CVPR16 = ClassSet(tuple(_COLOURS), tuple(_COLOURS.values()))
SEQS = ClassSet((*_COLOURS, "Traffic light"), (*_COLOURS.values(), (0, 128, 128)))
_RESERVED = (13, 14)  # ids that the sequences leave free; traffic light is 15


def ids(classes: ClassSet) -> dict[int, int]:
    """Return the class ids of the label values from 0 on."""
    return {0: IGNORED} | {label + 1: label for label in range(len(classes))}


def sequence_ids() -> dict[int, int]:
    """Return the class ids of the label values in the sequences."""
    return ids(CVPR16) | dict.fromkeys(_RESERVED, IGNORED) | {15: len(SEQS) - 1}


def cvpr16_coding() -> Coding:
    """Return what values and colours mean in RAND-CVPR16."""
    colours = {colour: (label,) for label, colour in enumerate(CVPR16.palette)}
    return Coding(
        CVPR16, ids(CVPR16), colours | {(0, 0, 0): (IGNORED,)}, origin="SYNTHIA-RAND-CVPR16's table of colours"
    )
