"""Reading PNG files with 16 bits and several channels, of which Pillow keeps the upper eight bits only."""

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from segfast_edge.contract.shared.images import MAX_PIXELS
from segfast_edge.errors import DataError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _GREY_ALPHA, _RGBA = 0, 2, 4, 6
_SAMPLES = {_GREY: 1, _RGB: 3, _GREY_ALPHA: 2, _RGBA: 4}


def first_channel(path: Path) -> npt.NDArray[np.uint16]:
    """Return the first channel of a PNG with 16 bits per channel, uint16 height x width.

    Raises:
        DataError: no file, not a PNG, damaged, or not 16 bits per channel.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"no such label: {path}") from error
    try:
        header, packed = _chunks(content)
        width, height, depth, colour, *_, interlaced = struct.unpack(">IIBBBBB", header)
        if depth != 16 or colour not in _SAMPLES or interlaced:
            way = ", interlaced" if interlaced else ""
            raise DataError(f"label {path} has {depth} bits, colour type {colour}{way}; expected 16 bits per channel")
        if width * height > MAX_PIXELS:
            raise DataError(f"{path} is {width}x{height}; at most {MAX_PIXELS} pixels are read")
        rows = _inflated(packed, height * (1 + 2 * width * _SAMPLES[colour]))
        return _unfiltered(rows, (width, height), colour)
    except (ValueError, OSError, struct.error, zlib.error) as error:
        raise DataError(f"{path} is not a readable 16-bit PNG: {error}") from error


def _chunks(content: bytes) -> tuple[bytes, bytes]:
    """Return the header's fields and the whole compressed picture; ValueError where they are damaged or missing."""
    if not content.startswith(_SIGNATURE):
        raise ValueError("it is no PNG")
    at, header, packed = len(_SIGNATURE), b"", []
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if len(content) < at + 12 + length:
            raise ValueError("it is cut off")
        if struct.unpack_from(">I", content, at + 8 + length)[0] != zlib.crc32(kind + data):
            raise ValueError(f"chunk {kind.decode('latin-1')} is damaged")
        if kind == b"IHDR":
            header = data
        elif kind == b"IDAT":
            packed.append(data)
        elif kind == b"IEND":
            return header, b"".join(packed)
        at += 12 + length
    raise ValueError("it is cut off")


def _inflated(packed: bytes, length: int) -> bytes:
    """Undo the compression; Pillow would fill what is missing with zeros, which here is a class."""
    rows = zlib.decompressobj().decompress(packed, length)
    if len(rows) != length:
        raise ValueError(f"it holds {len(rows)} bytes of pixels instead of {length}")
    return zlib.compress(rows, 0)


def _unfiltered(rows: bytes, size: tuple[int, int], colour: int) -> npt.NDArray[np.uint16]:
    """Let Pillow's PNG decoder undo the filters, under names that make it keep both bytes."""
    if colour in (_GREY, _GREY_ALPHA):  # as many bytes per pixel as 8-bit LA or RGBA: read as that
        mode = "LA" if colour == _GREY else "RGBA"
        parts = np.asarray(Image.frombytes(mode, size, rows, "zip", mode))
        upper, lower = parts[..., 0], parts[..., 1]
    else:  # PNG is big-endian; what the little-endian reader takes for the upper byte is the lower one
        mode = "RGB" if colour == _RGB else "RGBA"
        upper, lower = (np.asarray(Image.frombytes(mode, size, rows, "zip", f"{mode};16{end}"))[..., 0] for end in "BL")
    return np.asarray(upper.astype(np.uint16) << 8 | lower, np.uint16)
