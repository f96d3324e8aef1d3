"""The share of the way ahead that can be driven on, from the labels alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.images import Labels
from segfast_edge.errors import DataError, unknown

# What the public road datasets call the surface that a car drives on
SURFACES = ("road", "roadmarking", "lanemarking", "lanemarkinggeneral", "lanemarkingdrve", "lanemkgsdriv")
# The way ahead in a picture: a trapezoid from 60 % of the width at the bottom to 10 % at 45 % of the height,
# which is about one lane for a camera behind the windscreen. It knows no calibration.
TOP, BOTTOM_WIDTH, TOP_WIDTH = 0.45, 0.6, 0.1
FREE_ROW = 0.5  # a row of the trapezoid counts as free when this share of it is drivable


@dataclass(frozen=True, slots=True)
class Ahead:
    """``share``: drivable part of the way ahead; ``free``: how far up it is free without a gap; both 0 to 1."""

    share: float
    free: float


def drivable_labels(classes: ClassSet, names: Sequence[str] | None = None) -> tuple[int, ...]:
    """Return the labels that can be driven on: the classes named, or those with a usual name for a road surface.

    Raises:
        DataError: a name that no class has.
    """
    if names is None:
        return tuple(i for i, name in enumerate(classes.names) if _plain(name) in SURFACES)
    for name in names:
        if name not in classes.names:
            raise DataError(unknown("class", name, classes.names))
    return tuple(classes.names.index(name) for name in names)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


@lru_cache(maxsize=8)
def _way(height: int, width: int) -> np.ndarray:
    rows = np.arange(int(height * TOP), height)
    depth = (rows - rows[0]) / max(1, len(rows) - 1)
    half = width * (TOP_WIDTH + (BOTTOM_WIDTH - TOP_WIDTH) * depth)[:, None] / 2
    centres = np.arange(width) + 0.5
    return np.asarray(np.abs(centres[None, :] - width / 2) <= half)


def ahead(labels: Labels, drivable: Sequence[int]) -> Ahead | None:
    """Look at uint8 height x width labels; None if no class can be driven on."""
    if not drivable:
        return None
    height, width = labels.shape
    way = _way(height, width)
    table = np.zeros(256, bool)
    table[list(drivable)] = True
    free = table[labels[int(height * TOP) :]] & way
    rows = free.sum(axis=1) / np.maximum(1, way.sum(axis=1))
    blocked = np.flatnonzero(rows[::-1] < FREE_ROW)
    reach = int(blocked[0]) if blocked.size else len(rows)
    return Ahead(float(free.sum() / way.sum()), reach / len(rows))
