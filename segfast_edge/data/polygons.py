"""Label maps from polygons, drawn by Pillow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from segfast_edge.contract.shared.images import MAX_PIXELS, Labels
from segfast_edge.errors import DataError

Point = tuple[float, float]  # x and y in pixels


@dataclass(frozen=True, slots=True)
class Area:
    """One polygon and the label inside it; fewer than three points are an area of no size and are left out."""

    label: int
    points: Sequence[Point]


def drawn(size: tuple[int, int], areas: Iterable[Area], background: int) -> Labels:
    """Draw areas over each other in their order, onto ``background``: uint8 of ``size`` (height, width).

    Raises:
        DataError: a size that no picture has.
    """
    high, wide = size
    if high < 1 or wide < 1 or high * wide > MAX_PIXELS:
        raise DataError(f"a label of {high}x{wide} pixels cannot be drawn")
    page = Image.new("L", (wide, high), background)
    pencil = ImageDraw.Draw(page)
    for area in areas:
        if len(area.points) > 2:
            pencil.polygon([(float(x), float(y)) for x, y in area.points], fill=area.label)
    return np.asarray(page, np.uint8)
