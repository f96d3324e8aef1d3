"""A video file of three frames."""

import contextlib

import pytest
import tiny_artifacts as tiny
import tiny_runner

from targets.runner.inputs import InputOptions
from targets.runner.outputs._avi import AviFile


@contextlib.contextmanager
def opened(folder):
    pytest.importorskip("cv2", reason="OpenCV is an optional extra of the device")
    frame = tiny.frame(48, 64)
    video = AviFile(folder / "a.avi", (48, 64), fps=25)
    for index in range(3):
        video.append(tiny_runner.jpeg(frame, 95), index * 40_000_000)
    video.close()
    yield str(folder / "a.avi"), InputOptions(), (48, 64), frame
