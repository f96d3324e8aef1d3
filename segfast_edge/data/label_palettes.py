"""A check that the palettes of label files agree with each other."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image

from segfast_edge.contract.classes import Colour
from segfast_edge.data.label_files import palette_colour, read_label_picture
from segfast_edge.errors import DataError

Dated = tuple[tuple[Path, int], ...]  # paths with their times of change, by which an answer is remembered


def dated(paths: list[Path]) -> Dated:
    """Return ``paths`` with the times at which they were changed, each path once."""
    return tuple((path, path.stat().st_mtime_ns) for path in sorted(set(paths)))


@functools.lru_cache(maxsize=8)
def check_palettes(files: Dated) -> None:
    """Refuse palette files in which one index stands for two colours, if nothing else gives the classes their colours.

    Only palettes are read, not pixels, unless there is more than one palette; then entries that occur must agree.

    Raises:
        DataError: two files disagree; the message names both and the entry.
    """
    palettes = {path: palette for path, _ in files if (palette := _palette(path)) is not None}
    if len(set(palettes.values())) < 2:
        return
    first: dict[int, tuple[Colour | None, Path]] = {}
    for path in palettes:
        picture = read_label_picture(path)
        if picture.palette is None or picture.values is None:
            continue
        for entry in np.flatnonzero(np.bincount(picture.values.ravel(), minlength=256)).tolist():
            colour = palette_colour(picture.palette, entry)
            before, where = first.setdefault(entry, (colour, path))
            if before != colour:
                raise DataError(
                    f"label {path} contradicts {where}: entry {entry} of its palette is {colour}, there it is {before}."
                    ' Give classes.json a "palette" and labels are read by colour, or read them by index alone with'
                    " --data folder:palette=no"
                )


def _palette(path: Path) -> bytes | None:
    """Return a palette file's palette without decoding its pixels; None for any other file."""
    try:
        with Image.open(path) as picture:
            return bytes(picture.getpalette("RGB") or b"") if picture.mode == "P" else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None  # reading the file says what is wrong with it
