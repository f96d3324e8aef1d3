"""CamVid as Cambridge publishes it: 32 classes coded by colour, and the table that groups them into the usual 11.

Colours are those of its label_colors.txt; the grouping is that of the SegNet tutorial, which MATLAB's examples and most
papers on 11 classes share.
"""

from pathlib import Path

from segfast_edge.contract.classes import ClassSet, Colour
from segfast_edge.data.camvid_classes import CLASSES
from segfast_edge.data.class_list import TABLES
from segfast_edge.data.class_tables import table_rows
from segfast_edge.data.label_files import Coding, by_colour
from segfast_edge.errors import DataError

VOID = "Void"
COLOURS: dict[str, Colour] = {
    "Animal": (64, 128, 64), "Archway": (192, 0, 128), "Bicyclist": (0, 128, 192), "Bridge": (0, 128, 64),
    "Building": (128, 0, 0), "Car": (64, 0, 128), "CartLuggagePram": (64, 0, 192), "Child": (192, 128, 64),
    "Column_Pole": (192, 192, 128), "Fence": (64, 64, 128), "LaneMkgsDriv": (128, 0, 192),
    "LaneMkgsNonDriv": (192, 0, 64), "Misc_Text": (128, 128, 64), "MotorcycleScooter": (192, 0, 192),
    "OtherMoving": (128, 64, 64), "ParkingBlock": (64, 192, 128), "Pedestrian": (64, 64, 0), "Road": (128, 64, 128),
    "RoadShoulder": (128, 128, 192), "Sidewalk": (0, 0, 192), "SignSymbol": (192, 128, 128), "Sky": (128, 128, 128),
    "SUVPickupTruck": (64, 128, 192), "TrafficCone": (0, 0, 64), "TrafficLight": (0, 64, 64), "Train": (192, 64, 128),
    "Tree": (128, 128, 0), "Truck_Bus": (192, 128, 192), "Tunnel": (64, 0, 64), "VegetationMisc": (192, 192, 0),
    VOID: (0, 0, 0), "Wall": (64, 192, 0),
}  # fmt: skip
GROUPS = {
    "Sky": ("Sky",),
    "Building": ("Archway", "Bridge", "Building", "Tunnel", "Wall"),
    "Pole": ("Column_Pole", "TrafficCone"),
    "Road": ("Road", "LaneMkgsDriv", "LaneMkgsNonDriv"),
    "Pavement": ("Sidewalk", "ParkingBlock", "RoadShoulder"),
    "Tree": ("Tree", "VegetationMisc"),
    "SignSymbol": ("SignSymbol", "Misc_Text", "TrafficLight"),
    "Fence": ("Fence",),
    "Car": ("Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"),
    "Pedestrian": ("Pedestrian", "Child", "CartLuggagePram", "Animal"),
    "Bicyclist": ("Bicyclist", "MotorcycleScooter"),
}


def coding(root: Path, classes: str) -> Coding:
    """Return what colours mean as the usual ``classes`` "11", or as all "32", of which void does not count.

    Raises:
        DataError: another number, or a colour table in the folder says something else.
    """
    if classes not in ("11", "32"):
        raise DataError(f"camvid option classes={classes}; allowed are 11 and 32 (31 and void)")
    _check_tables(root)
    if classes == "32":
        names = tuple(name for name in COLOURS if name != VOID)
        every = ClassSet(names, tuple(COLOURS[name] for name in names))
        return Coding(every, {}, by_colour(every, [COLOURS[VOID]]), origin="CamVid's table of 32 colours")
    assert CLASSES.ignored is not None
    grouped = {COLOURS[old]: (CLASSES.names.index(new),) for new, names in GROUPS.items() for old in names}
    return Coding(CLASSES, {}, grouped | {COLOURS[VOID]: (CLASSES.ignored,)}, origin="CamVid's table of 32 colours")


def _check_tables(root: Path) -> None:
    """Refuse a folder whose own table contradicts the published one: then it is another dataset."""
    published = {name.lower(): colour for name, colour in COLOURS.items()}
    for table in (root / name for name in TABLES):
        for name, colour in table_rows(table) if table.is_file() else ():
            if published.get(name.lower()) != colour:
                raise DataError(
                    f"{table} gives '{name}' the colour {colour}, which CamVid does not; is it another dataset?"
                )
