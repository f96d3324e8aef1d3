"""Show a quadrangle of a pair as a whole picture: rotation and perspective."""

import math

import numpy as np
from PIL import Image

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.augmentation import PADDING_COLOUR


def turned(shape: tuple[int, ...], angle: float) -> np.ndarray:
    """Return a picture's corners, turned around its middle: 4 x (x, y), clockwise from the top left."""
    high, wide = shape
    middle = np.array([wide, high]) / 2
    corners = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], float)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    result: np.ndarray = (corners - middle) @ turn + middle
    return result


def warped(pair: tuple[Frame, Labels], corners: np.ndarray, padding: int | None) -> tuple[Frame, Labels]:
    """Return what lies between ``corners`` (as of ``turned``), at the pair's size; labels go by nearest neighbour.

    Outside of the picture lies ``padding``, or its repeated edge if that is None.
    """
    frame, labels = pair
    high, wide = labels.shape
    if padding is None:
        edge = max(high, wide) // 2
        frame = np.pad(frame, ((edge, edge), (edge, edge), (0, 0)), "edge")
        labels = np.pad(labels, edge, "edge")
        corners = corners + edge
    matrix = _coefficients(np.array([(0, 0), (wide, 0), (wide, high), (0, high)], float), corners)
    perspective, size = Image.Transform.PERSPECTIVE, (wide, high)
    picture = Image.fromarray(np.ascontiguousarray(frame)).transform(
        size, perspective, matrix, Image.Resampling.BILINEAR, fillcolor=PADDING_COLOUR
    )
    ids = Image.fromarray(np.ascontiguousarray(labels)).transform(
        size, perspective, matrix, Image.Resampling.NEAREST, fillcolor=padding or 0
    )
    return np.array(picture, np.uint8), np.array(ids, np.uint8)


def _coefficients(places: np.ndarray, sources: np.ndarray) -> list[float]:
    """Return a to h of x' = (ax + by + c) / (gx + hy + 1), y' = (dx + ey + f) / (gx + hy + 1) for four point pairs."""
    rows, values = [], []
    for (x, y), (u, v) in zip(places, sources, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    found: list[float] = np.linalg.solve(np.array(rows), np.array(values)).tolist()
    return found
