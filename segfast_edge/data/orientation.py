"""Pictures that lie on their side by an EXIF orientation, and labels that were drawn on them as they are stored."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from segfast_edge.contract.shared.images import Frame, Labels, open_picture, upright_rgb
from segfast_edge.data.warn_once import warn_once

UPRIGHT = 1
_TURNS = {  # EXIF orientation -> what brings the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_upright(path: Path, *, convert: bool) -> tuple[Frame, int]:
    """Read a picture upright, and the EXIF orientation that it was stored with (1 to 8).

    Raises:
        DataError: no file, not an image, or not RGB and ``convert`` is off.
    """
    picture = open_picture(path)
    orientation = int(picture.getexif().get(ExifTags.Base.Orientation, UPRIGHT))
    frame = np.array(upright_rgb(picture, str(path), convert=convert), dtype=np.uint8)
    return frame, orientation if orientation in _TURNS else UPRIGHT


def turned_along(labels: Labels, image: Path, shape: tuple[int, ...], *, orientation: int, turn: bool | None) -> Labels:
    """Return the labels of an upright picture of ``shape``, turned as the picture was if they were drawn before that.

    ``turn`` says whether they were; None finds out by their size, which cannot tell for half turns and squares:
    then they are taken as they are, and a warning says so.
    """
    if orientation == UPRIGHT:
        return labels
    stored = shape[:2] if orientation < 5 else shape[1::-1]
    if turn is None and labels.shape == stored != shape[:2]:
        turn = True
        warn_once(
            ("turned labels", image.parent),
            "%s is turned by its EXIF orientation and its label has the size of the stored picture, so the label is"
            " turned along, as are others like it",
            image,
        )
    elif turn is None and labels.shape == stored:
        warn_once(
            ("unclear labels", image.parent),
            "%s is turned by its EXIF orientation (%d); its label is taken as drawn on the upright picture. If labels"
            " were drawn on the stored pictures, add turn-labels=yes to --data",
            image, orientation,
        )  # fmt: skip
    return np.asarray(Image.fromarray(labels).transpose(_TURNS[orientation])) if turn else labels
