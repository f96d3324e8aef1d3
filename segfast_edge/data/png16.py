"""Reading PNG files with 16 bits per channel, of which Pillow keeps the upper eight bits only, through OpenCV."""

import importlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from segfast_edge.contract.shared.images import MAX_PIXELS
from segfast_edge.errors import DataError


def first_channel(path: Path) -> npt.NDArray[np.uint16]:
    """Return the first channel of a PNG with 16 bits per channel, uint16 height x width.

    Raises:
        DataError: no file, not a PNG, damaged, not 16 bits per channel, or OpenCV is not installed.
    """
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        line = f"reading the 16-bit label {path} needs OpenCV. Run: pip install 'segfast-edge[camera]'"
        raise DataError(line) from error
    try:
        content = path.read_bytes()
        with Image.open(path, formats=("PNG",)) as header:
            width, height = header.size
            header.verify()  # the checksums, which OpenCV's decoder would complain of on stderr
    except FileNotFoundError as error:
        raise DataError(f"no such label: {path}") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is not a readable 16-bit PNG: {error}") from error
    if width * height > MAX_PIXELS:
        raise DataError(f"{path} is {width}x{height}; at most {MAX_PIXELS} pixels are read")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise DataError(f"{path} is not a readable 16-bit PNG: it is damaged or cut off")
    if pixels.dtype != np.uint16:
        raise DataError(f"label {path} has 8 bits per channel; expected 16")
    return np.asarray(pixels if pixels.ndim == 2 else pixels[..., 2], np.uint16)  # OpenCV's order is BGR
