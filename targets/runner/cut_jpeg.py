"""JPEGs that lack their end although they end as one should: libjpeg warns of it, and Pillow does not pass that on."""

import re

import numpy as np
from PIL import Image

from segfast_edge.errors import DataError

_GREY = 128  # what libjpeg leaves in every channel where no data came
_BLOCK = 8  # pixels
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_SCAN, _PROGRESSIVE = 0xDA, 0xC2


def refuse_cut(picture: Image.Image, full_height: int, data: bytes, name: str) -> None:
    """Look at a JPEG that has been decoded, perhaps at a reduced scale, and not yet turned.

    The data of a baseline JPEG run from the top left to the bottom right, so if any are missing, the right half of the
    last row of blocks is exactly mid-grey; a camera's own picture never is. A progressive one lacks its last scans.

    Raises:
        DataError: its end is missing.
    """
    width, height = picture.size
    rows = max(1, _BLOCK * height // full_height)
    last = np.asarray(picture.crop((width // 2, height - rows, width, height)).convert("RGB"))
    if np.mean(last == _GREY) > 0.95:  # of a block at the cut anything may be left
        raise DataError(f"{name} cannot be decoded: its end is missing, though it ends as a JPEG does")
    if picture.info.get("progressive") and not _every_scan(data):
        raise DataError(f"{name} cannot be decoded: its last scans are missing, though it ends as a JPEG does")


def _every_scan(data: bytes) -> bool:
    """Say whether the scans of a progressive JPEG bring every coefficient of every component to its last bit."""
    left: set[tuple[int, int]] = set()
    for found in _MARKER.finditer(data):
        marker, at = found[1][0], found.end()
        if marker == _PROGRESSIVE:
            left = {(data[at + 8 + 3 * n], band) for n in range(data[at + 7]) for band in range(64)}
        elif marker == _SCAN and len(data) > at + 2 + 2 * data[at + 2] + 3:
            names = [data[at + 3 + 2 * n] for n in range(data[at + 2])]
            first, last, precision = data[at + 3 + 2 * len(names) : at + 6 + 2 * len(names)]
            if precision & 15 == 0:  # no bit is left for a later scan
                left -= {(name, band) for name in names for band in range(first, last + 1)}
    return not left
