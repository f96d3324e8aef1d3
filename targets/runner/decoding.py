"""Compressed frames to pixels, at full or reduced scale, and whether the reduced scale may be trusted."""

import io
import struct
import threading
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from segfast_edge.contract.shared.images import Labels, upright_rgb
from segfast_edge.errors import DataError
from targets.runner.cut_jpeg import refuse_cut
from targets.runner.frames import Size

FORMATS = ("JPEG", "PNG", "PPM", "BMP", "WEBP", "TIFF")
MAX_PIXELS = 9_000_000  # a 4K frame has 8.3 or 8.8 million; overlays of it take a runner 390 MB, of 40 million 1.4 GB
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations whose width is the picture's height
# What Pillow raises for damaged pictures. In a million of them Pillow 12 gave the first five kinds and OverflowError;
# the others are those of the modules that its decoders are made of
DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    OverflowError,
    IndexError,
    KeyError,
    EOFError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class PictureRules:
    """Rules for decoding: other modes than RGB are converted if ``convert``; at most ``max_pixels`` are decoded."""

    convert: bool = False
    max_pixels: int = MAX_PIXELS


RULES = PictureRules()


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture file's bytes, of one of ``FORMATS``."""

    data: bytes
    name: str
    rules: PictureRules = RULES

    def decode(self, at_least: Size | None, /) -> tuple[Image.Image, Size]:
        """Decode; a JPEG by a half, a quarter or an eighth if that is still at least ``at_least``."""
        try:
            picture = Image.open(io.BytesIO(self.data), formats=FORMATS)
            size = picture.height, picture.width
            most = self.rules.max_pixels
            if picture.height * picture.width > most:  # what its header says, before any of it is decoded
                raise DataError(
                    f"{self.name} is {size[1]}x{size[0]}; at most {most} pixels are decoded. See --max-pixels"
                )
            turned = picture.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE
            drafted = None
            if at_least is not None and picture.mode == "RGB":
                drafted = picture.draft("RGB", at_least if turned else at_least[::-1])
            picture.load()
            if picture.format == "JPEG":
                refuse_cut(picture, size[0], self.data, self.name)
            upright = upright_rgb(picture, self.name, convert=self.rules.convert)
            if drafted is None:  # in full, with the size it has; a TIFF has its upright one from the start
                return upright, (upright.height, upright.width)
            return upright, size[::-1] if turned else size
        except UnidentifiedImageError as error:  # Pillow names an object by its address, another with each frame
            raise DataError(f"{self.name} cannot be decoded: it does not begin as {', '.join(FORMATS)} do") from error
        except DAMAGE as error:
            raise DataError(f"{self.name} cannot be decoded: {error}") from error


class ReducedScale:
    """Allows decoding at a reduced scale as long as comparisons show that both ways give the same labels.

    One frame in ``every`` is decoded both ways and both are run. Less agreement than ``floor`` on any of them, and
    frames are decoded in full from then on. ``wanted`` off means always in full. On CamVid's validation pictures as
    JPEG of 1280x720 and a segfast at 224x224, 99.3 % of labels agreed on average and 98.8 % at the least, and mIoU
    changed by 0.01 points.
    """

    def __init__(self, *, wanted: bool, floor: float = 0.98, every: int = 250) -> None:
        self.wanted = wanted
        self.floor = floor
        self.every = every
        self._lock = threading.Lock()
        self._seen = 0
        self._lowest: float | None = None

    @property
    def allowed(self) -> bool:
        """Whether the last comparisons allow it; the first frame is always compared."""
        return self.wanted and (self._lowest is None or self._lowest >= self.floor)

    @property
    def lowest_agreement(self) -> float | None:
        """The smallest share of equal labels seen, or None if nothing was compared."""
        return self._lowest

    def due(self) -> bool:
        """Count a frame, and say whether it is one to compare."""
        with self._lock:
            self._seen += 1
            return (self._seen - 1) % self.every == 0

    def compared(self, reduced: Labels, exact: Labels) -> None:
        """Book one comparison."""
        agreement = float(np.mean(reduced == exact))
        with self._lock:
            self._lowest = agreement if self._lowest is None else min(self._lowest, agreement)
