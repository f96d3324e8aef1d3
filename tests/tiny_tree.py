"""Tiny pictures and labels for trees of datasets, laid out as they are published."""

import struct
import zlib

import numpy as np
from PIL import Image

SIZE = (12, 16)
CORNERS = [(4, 3), (12, 3), (12, 9), (4, 9)]  # x, y of the rectangle that annotated objects are


def frame() -> np.ndarray:
    """Return a smooth RGB frame, which JPEG keeps within a few steps."""
    rows, columns = np.indices(SIZE)
    return np.dstack([8 * rows, 8 * columns, 4 * (rows + columns)]).astype(np.uint8)


def labels(*ids: int) -> np.ndarray:
    """Return labels that go through ``ids`` over and over."""
    return np.resize(np.array(ids, np.uint8), SIZE)


def rectangle() -> np.ndarray:
    """Return labels with class 1 inside ``CORNERS``; whose its edge is, differs from tool to tool."""
    found = np.zeros(SIZE, np.uint8)
    found[3:9, 4:12] = 1
    return found


def off_edges(found: np.ndarray) -> np.ndarray:
    """Return which pixels have only their own label around them."""
    padded = np.pad(found, 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    result: np.ndarray = around.min((2, 3)) == around.max((2, 3))
    return result


def save(path, pixels) -> None:
    """Write a picture into its folder, which is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def png16(channels: np.ndarray) -> bytes:
    """Encode a PNG with 16 bits in each of three channels, which Pillow cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    high, wide, _ = channels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
