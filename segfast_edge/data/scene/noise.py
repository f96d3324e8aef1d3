"""Smooth random fields that tile, made once and looked up."""

import functools

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.float32]
TILE = 256


@functools.cache
def cloud(seed: int, octaves: int = 6, coarsest: int = 4) -> Field:
    """Return a fractal field, ``TILE`` x ``TILE``, that repeats without a seam; mean 0, standard deviation 1."""
    rng = np.random.default_rng((7919, seed))
    total = np.zeros((TILE, TILE), np.float32)
    for octave in range(octaves):
        cells = min(TILE, coarsest << octave)
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(grid, 2, mode="wrap")
        wide = TILE * (cells + 4) // cells
        smooth = np.asarray(Image.fromarray(wrapped).resize((wide, wide), Image.Resampling.BICUBIC))
        edge = 2 * TILE // cells
        total += smooth[edge : edge + TILE, edge : edge + TILE] * 0.5**octave
    return np.asarray((total - total.mean()) / total.std(), np.float32)


@functools.cache
def grain() -> Field:
    """Return independent normal values, ``TILE`` x ``TILE``."""
    return np.random.default_rng(7919).standard_normal((TILE, TILE)).astype(np.float32)


def nearest(field: Field, rows: np.ndarray, columns: np.ndarray) -> Field:
    """Look a field up at any coordinates, in texels, without blending."""
    return np.asarray(field[rows.astype(np.int32) & (TILE - 1), columns.astype(np.int32) & (TILE - 1)])


def smooth(field: Field, rows: np.ndarray, columns: np.ndarray) -> Field:
    """Look a field up at any coordinates, in texels, blending the four around."""
    top, left = np.floor(rows), np.floor(columns)
    down, across = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    r, c = top.astype(np.int32) & (TILE - 1), left.astype(np.int32) & (TILE - 1)
    r1, c1 = (r + 1) & (TILE - 1), (c + 1) & (TILE - 1)
    upper = field[r, c] * (1 - across) + field[r, c1] * across
    lower = field[r1, c] * (1 - across) + field[r1, c1] * across
    return np.asarray(upper * (1 - down) + lower * down)


def window(field: Field, size: tuple[int, int], rng: np.random.Generator) -> Field:
    """Cut ``size`` (height, width) out of the endless tiling at a random place."""
    rows = np.arange(size[0]) + int(rng.integers(TILE))
    columns = np.arange(size[1]) + int(rng.integers(TILE))
    return field[np.ix_(rows % TILE, columns % TILE)]
