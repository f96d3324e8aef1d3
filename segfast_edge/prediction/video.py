"""Video files through OpenCV, an optional package: their frames in, and a video of overlays out."""

import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import DataError

CODEC = "mp4v"  # MPEG-4, which every build of OpenCV writes and browsers and players read
USUAL_RATE = 30.0  # for a file that does not tell its own


def _opencv(path: Path) -> Any:
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        raise DataError(f"{path} is a video, which needs OpenCV. Run: pip install 'segfast-edge[camera]'") from error


class VideoFile:
    """A video that is read frame by frame.

    Raises:
        DataError: OpenCV is not installed, or cannot open the file.
    """

    def __init__(self, path: Path) -> None:
        self._cv2 = _opencv(path)
        self._capture = self._cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise DataError(f"{path} is not a readable video")
        self._path = path

    @property
    def count(self) -> int:
        """How many frames the file says it has; 0 if it does not say."""
        return max(0, int(self._capture.get(self._cv2.CAP_PROP_FRAME_COUNT)))

    @property
    def rate(self) -> float:
        """Frames per second."""
        rate = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        return rate if 0 < rate < 1000 else USUAL_RATE

    def frames(self) -> Iterator[Frame]:
        """Give its frames as RGB.

        Raises:
            DataError: not one can be decoded.
        """
        decoded = 0
        while True:
            here, pixels = self._capture.read()
            if not here:
                break
            decoded += 1
            yield np.ascontiguousarray(pixels[:, :, ::-1])
        if not decoded:
            raise DataError(f"{self._path} is not a readable video: not one frame can be decoded")

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()


class VideoWriter:
    """An MP4 that takes its place when the block ends well, and leaves nothing behind otherwise."""

    def __init__(self, path: Path, rate: float) -> None:
        self._cv2 = _opencv(path)
        self._path, self._rate = path, rate
        self._temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
        self._writer: Any = None

    def __enter__(self) -> Callable[[Frame], None]:
        return self._write

    def _write(self, frame: Frame) -> None:
        if self._writer is None:
            size = (frame.shape[1], frame.shape[0])
            code = self._cv2.VideoWriter_fourcc(*CODEC)
            self._writer = self._cv2.VideoWriter(str(self._temporary), code, self._rate, size)
            if not self._writer.isOpened():
                raise DataError(f"cannot write {self._path}: OpenCV has no encoder for it, or the disk is full")
        self._writer.write(np.ascontiguousarray(frame[:, :, ::-1]))

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.release()
        try:
            if kind is None:
                self._temporary.replace(self._path)
        except OSError as error:
            raise DataError(f"cannot write {self._path}: {error.strerror or error}") from error
        finally:
            self._temporary.unlink(missing_ok=True)
