"""Finding pictures that show the same: a fingerprint that survives resizing and recompression."""

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from segfast_edge.contract.shared.images import Frame

Fingerprint = npt.NDArray[np.float32]  # brightness of SIDE x SIDE tiles, mean 0 and standard deviation 1
SIDE = 16
# root mean square between two fingerprints. CamVid's frames, recompressed at JPEG quality 50 or halved, stay below
# 0.042; of frames a second apart those are below 0.05 in which the car stands
ALIKE = 0.05
_FLAT = 2.0  # standard deviation of brightness, of 255, below which a picture has nothing to compare
_CHUNK = 2048


def digest(frame: Frame) -> bytes:
    """Return what is the same for the same pixels only."""
    return hashlib.blake2b(np.ascontiguousarray(frame).data, digest_size=16, key=str(frame.shape).encode()).digest()


def fingerprint(frame: Frame) -> Fingerprint | None:
    """Return a frame's fingerprint; None for one without contrast."""
    step = max(1, min(frame.shape[:2]) // (8 * SIDE))
    small = Image.fromarray(np.ascontiguousarray(frame[::step, ::step])).convert("L")
    tiles = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    spread = float(tiles.std())
    return None if spread < _FLAT else np.asarray((tiles - tiles.mean()) / spread, np.float32)


def alike(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Give the places in ``one`` and ``other``, one fingerprint a row, of pictures that show the same."""
    if not len(one) or not len(other):
        return
    limit = 1 - ALIKE**2 / 2  # of unit spread: the mean square of a difference is 2 - 2 x correlation
    for start in range(0, len(one), _CHUNK):
        correlation = one[start : start + _CHUNK] @ other.T / SIDE**2
        for row, column in np.argwhere(correlation > limit):
            yield start + int(row), int(column)
