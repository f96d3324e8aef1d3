"""The inputs of predict: files, folders, patterns and standard input, listed before anything is read."""

import io
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

import numpy as np
from PIL import Image

from segfast_edge.contract.shared.images import (
    IMAGE_SUFFIXES,
    Frame,
    decode_picture,
    list_pictures,
    read_frame,
    upright_rgb,
)
from segfast_edge.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class PredictionInput:
    """A picture or a video; ``data`` is the picture itself if it came on standard input."""

    path: Path
    data: bytes = b""

    @property
    def is_video(self) -> bool:
        """Whether it is a video, by its name."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    def frame(self) -> Frame:
        """Read the picture as RGB, whatever its mode: alpha is dropped, 16 bits are scaled to 8.

        Raises:
            DataError: it is missing, damaged or of floating-point pixels.
        """
        if not self.data:
            return read_frame(self.path, convert=True)
        picture = decode_picture(io.BytesIO(self.data), str(self.path))
        return np.array(upright_rgb(picture, str(self.path), convert=True))


def list_inputs(given: Sequence[str]) -> list[PredictionInput]:
    """List what files, folders, glob patterns and ``-`` stand for, each once, in order.

    Standard input is a picture, or the names of pictures, one a line.

    Raises:
        DataError: there is nothing at a name, or nothing that matches a pattern.
    """
    found: dict[Path, PredictionInput] = {}
    for text in given:
        for source in _standard_input() if text == STANDARD_INPUT else map(PredictionInput, _paths(text)):
            found.setdefault(source.path.resolve(), source)
    return list(found.values())


def _paths(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        return list_pictures(path, (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES))
    if path.exists():
        return [path]
    if matches := sorted(glob(text, recursive=True)):  # noqa: PTH207 (a pattern may begin anywhere, with ~ or with /)
        return [Path(match) for match in matches if not Path(match).is_dir()]
    raise DataError(f"nothing matches {text}" if has_magic(text) else f"no such image: {text}")


def _standard_input() -> list[PredictionInput]:
    data = sys.stdin.buffer.read()
    try:
        Image.open(io.BytesIO(data))
    except OSError:
        pass
    else:
        return [PredictionInput(Path("stdin"), data)]
    try:
        names = data.decode().splitlines()
    except UnicodeDecodeError:
        raise DataError("standard input is neither a picture nor a list of names, one a line") from None
    if not any(names):
        raise DataError("standard input is empty; expected a picture, or names of pictures, one a line")
    return [PredictionInput(path) for name in names if name for path in _paths(name)]


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return a different name for every file: the stem if that is enough, else with the suffix, then with folders."""
    names = [path.stem for path in paths]
    depth = 0
    while repeated := {name for name, count in Counter(names).items() if count > 1}:
        names = [
            "_".join((*path.parts[len(path.parts) - 1 - depth : -1], path.name)).replace("/", "")
            if name in repeated
            else name
            for name, path in zip(names, paths, strict=True)
        ]
        depth += 1
    return names
