"""Cameras, network streams and video files through OpenCV, an optional extra of the device."""

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.shared.images import IMAGE_SUFFIXES
from segfast_edge.errors import DataError, TargetError
from targets.runner.frames import Broken, Pixels
from targets.runner.inputs import EndOfInputError, Grab, InputLostError, InputOptions, public
from targets.runner.inputs._pace import Metronome

FORM = "/dev/videoN or N (a camera), rtsp://..., or a video file; these need OpenCV"
PACKAGE = "opencv-python-headless"


def matches(text: str) -> bool:
    """Say whether ``text`` is a camera, an RTSP address or a file that is not a picture."""
    if text.isascii() and text.isdigit():
        return True
    if text.lower().startswith(("rtsp://", "rtsps://", "/dev/")):
        return True
    return Path(text).is_file() and Path(text).suffix.lower() not in IMAGE_SUFFIXES


def open_input(text: str, options: InputOptions) -> "Video":
    """Return the camera, stream or file.

    Raises:
        TargetError: OpenCV is missing.
    """
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        raise TargetError(
            f"input '{public(text)}' needs OpenCV, which is missing. Run: pip install {PACKAGE}"
        ) from error
    return Video(cv2, text, options)


class Video:
    """Whatever ``cv2.VideoCapture`` opens; frames are turned from its BGR to RGB."""

    def __init__(self, cv2: Any, text: str, options: InputOptions) -> None:
        self._cv2 = cv2
        self._text = text
        self._name = public(text)
        self._options = options
        self._is_file = Path(text).is_file()
        self.live = not self._is_file or options.rate is not None
        self.camera = not self._is_file
        self._metronome = Metronome(options.rate if self._is_file else None)
        self._capture: Any = None
        self._count = 0
        self._opened_before = False

    def connect(self) -> None:
        """Open it; a file that does not open at first is a DataError, a camera or stream is only lost."""
        self.close()
        patience = int(self._options.silence_s * 1000)
        if self._text.isdigit() or self._text.startswith("/dev/"):
            camera = int(self._text) if self._text.isdigit() else self._text
            self._capture = self._cv2.VideoCapture(camera, self._cv2.CAP_V4L2 if os.name == "posix" else 0)
            self._capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not a queue of old ones
        else:
            limits = [self._cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, patience, self._cv2.CAP_PROP_READ_TIMEOUT_MSEC, patience]
            self._capture = self._cv2.VideoCapture(self._text, self._cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            self.close()
            if self._is_file and not self._opened_before:
                raise DataError(f"{self._name} is not a video that OpenCV can read")
            raise InputLostError(f"{self._name} does not open")
        self._opened_before = True

    def read(self, _: float, /) -> Grab:
        """Return the next frame; OpenCV's own time limit detects a silent stream."""
        if not self._metronome.wait():
            raise EndOfInputError
        capture = self._capture
        if capture is None:
            raise InputLostError(f"{self._name} is not open")
        got, frame = capture.read()
        if not got:
            return self._at_end()
        self._count += 1
        if not isinstance(frame, np.ndarray) or frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            return Grab(f"{self._count:06d}", Broken(f"{self._name} gave no 8-bit colour frame"))
        return Grab(f"{self._count:06d}", Pixels(self._cv2.cvtColor(frame, self._cv2.COLOR_BGR2RGB)))

    def _at_end(self) -> Grab:
        if not self._is_file:
            raise InputLostError(f"{self._name} gives no more frames")
        if not self._options.repeat:
            raise EndOfInputError
        self.connect()
        return self.read(0.0)

    def interrupt(self) -> None:
        """End a wait for the next tick; a wait inside OpenCV ends by its own time limit."""
        self._metronome.stop()

    def close(self) -> None:
        """Release the capture."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None
