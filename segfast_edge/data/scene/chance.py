"""Chance: one of several, places along a street, and smooth random fields that tile, made once and looked up."""

import bisect
import functools
import itertools
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

T = TypeVar("T")
Span = tuple[float, float]  # from, to
Field = npt.NDArray[np.float32]
TILE = 256


def pick(rng: np.random.Generator, options: Sequence[T], chances: Sequence[float] | None = None) -> T:
    """Return one of ``options``, evenly or by ``chances`` that add up to 1."""
    if chances is None:
        return options[int(rng.random() * len(options))]
    return options[min(bisect.bisect(list(itertools.accumulate(chances)), rng.random()), len(options) - 1)]


def within(rng: np.random.Generator, span: Span) -> float:
    """Return a number in ``span``."""
    return span[0] + (span[1] - span[0]) * rng.random()


def places(rng: np.random.Generator, first: Span, gap: Span, end: float = 85.0) -> list[float]:
    """Return places along the street in metres up to ``end``, the first in ``first``, then ``gap`` apart."""
    found, at = [], within(rng, first)
    while at < end:
        found.append(at)
        at += within(rng, gap)
    return found


@functools.cache
def cloud(seed: int, octaves: int = 6, coarsest: int = 4) -> Field:
    """Return a fractal field, ``TILE`` x ``TILE``, that repeats without a seam; mean 0, standard deviation 1."""
    rng = np.random.default_rng((7919, seed))
    total = np.zeros((TILE, TILE), np.float32)
    for octave in range(octaves):
        cells = min(TILE, coarsest << octave)
        wrapped = np.pad(rng.standard_normal((cells, cells)).astype(np.float32), 2, mode="wrap")
        wide, edge = TILE * (cells + 4) // cells, 2 * TILE // cells
        smooth = np.asarray(Image.fromarray(wrapped).resize((wide, wide), Image.Resampling.BICUBIC))
        total += smooth[edge : edge + TILE, edge : edge + TILE] * 0.5**octave
    return np.asarray((total - total.mean()) / total.std(), np.float32)


grain = functools.partial(cloud, 9, 1, TILE)  # independent normal values


def nearest(field: Field, rows: np.ndarray, columns: np.ndarray) -> Field:
    """Look a field up at any coordinates, in texels, without blending."""
    return np.asarray(field[rows.astype(np.int32) & (TILE - 1), columns.astype(np.int32) & (TILE - 1)])


def smooth(field: Field, rows: np.ndarray, columns: np.ndarray) -> Field:
    """Look a field up at any coordinates, in texels, blending the four around."""
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    upper, lower = (
        nearest(field, row, left) * (1 - right) + nearest(field, row, left + 1) * right for row in (top, top + 1)
    )
    return np.asarray(upper * (1 - down) + lower * down)


def window(field: Field, size: tuple[int, ...], rng: np.random.Generator) -> Field:
    """Cut ``size`` (height, width) out of the endless tiling at a random place."""
    rows, columns = (np.arange(length) + int(rng.integers(TILE)) for length in size[:2])
    return field[np.ix_(rows % TILE, columns % TILE)]
