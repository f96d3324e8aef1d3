"""Reading and writing pictures: every image file of the project comes in and goes out here."""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from segfast_edge.errors import DataError

Frame = npt.NDArray[np.uint8]  # height x width x 3, RGB
Labels = npt.NDArray[np.uint8]  # height x width

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".tif", ".tiff")
MAX_PIXELS = 120_000_000  # a 12k x 10k picture; more is a mistake or an attack
_OTHER_MODES = {
    "1": "1-bit black and white",
    "L": "8-bit greyscale",
    "LA": "greyscale with alpha",
    "P": "palette",
    "RGBA": "RGB with alpha",
    "CMYK": "CMYK",
    "I": "32-bit integer",
    "I;16": "16-bit greyscale",
    "I;16B": "16-bit greyscale",
    "F": "32-bit float",
}


def open_picture(path: Path) -> Image.Image:
    """Open an image file and decode it, as whatever mode it has.

    Raises:
        DataError: no file, not an image, damaged, or of more than ``MAX_PIXELS``.
    """
    if not path.is_file():
        raise DataError(f"no such image: {path}")
    try:
        with path.open("rb") as stream:
            return decode_picture(stream, str(path))
    except OSError as error:
        raise DataError(f"{path} is not a readable image: {error}") from error


def decode_picture(stream: BinaryIO, name: str) -> Image.Image:
    """Do the same to the bytes of an image file; errors call it ``name``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(stream)
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"{name} is {picture.width}x{picture.height}; at most {MAX_PIXELS} pixels are read")
            picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "its format is unknown" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{name} is not a readable image: {reason}") from error
    return picture


def read_frame(path: Path, *, convert: bool = False) -> Frame:
    """Read an RGB picture as uint8 height x width x 3, upright by its EXIF orientation.

    Any other mode is refused unless ``convert`` says that it may be converted (alpha is dropped, 16 bits are
    scaled to 8), so that a greyscale or CMYK file never slips into a measurement unseen.

    Raises:
        DataError: no file, not an image, or not RGB.
    """
    return np.array(upright_rgb(open_picture(path), str(path), convert=convert))


def upright_rgb(picture: Image.Image, name: str, *, convert: bool = False) -> Image.Image:
    """Return an opened picture as mode RGB under ``read_frame``'s rules; errors call it ``name``."""
    if picture.mode != "RGB":
        if not convert:
            what = _OTHER_MODES.get(picture.mode, "not 8-bit RGB")
            raise DataError(
                f"{name} has mode {picture.mode} ({what}); expected RGB. Save it as RGB, or pass --convert-rgb"
                " to run, train, evaluate or data check"
            )
        if picture.mode.startswith("I"):
            wide = np.asarray(picture, dtype=np.uint32)
            if int(wide.max(initial=0)) > 65535:
                raise DataError(f"{name} holds values over 65535; only 8-bit and 16-bit pictures can be converted")
            picture = Image.fromarray((wide >> 8).astype(np.uint8))
        elif picture.mode == "F":
            raise DataError(f"{name} holds floating-point pixels, which have no defined range; save it as 8-bit RGB")
        picture = picture.convert("RGB")
    ImageOps.exif_transpose(picture, in_place=True)  # no copy where there is nothing to turn
    return picture


def read_labels(path: Path) -> Labels:
    """Read an 8-bit single-channel label picture (greyscale or palette indices) as uint8 height x width.

    Raises:
        DataError: no file, not an image, or several channels or more than 8 bits.
    """
    picture = open_picture(path)
    if picture.mode not in ("L", "P"):
        what = _OTHER_MODES.get(picture.mode, "several channels")
        raise DataError(f"label {path} has mode {picture.mode} ({what}); expected 8-bit class ids (mode L or P)")
    return np.array(picture, dtype=np.uint8)


def write_picture(path: Path, pixels: npt.NDArray[np.uint8], *, fast: bool = False) -> None:
    """Write uint8 height x width [x 3] by the suffix of ``path``, whole or not at all; ``fast`` compresses PNG less.

    Raises:
        DataError: the folder is not writable or the disk is full.
    """
    if pixels.dtype != np.uint8:
        raise DataError(f"picture is {pixels.dtype}; expected uint8")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        Image.fromarray(pixels).save(temporary, None, **({"compress_level": 1} if fast else {}))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def list_pictures(folder: Path, suffixes: Iterable[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the pictures directly in ``folder``, sorted by name.

    Raises:
        DataError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}")
    wanted = tuple(suffixes)
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in wanted and not p.name.startswith("."))
    if not found:
        raise DataError(f"no picture in {folder}; looked for {', '.join(wanted)}")
    return found
