"""A camera on this machine that streams MJPEG."""

import contextlib

import tiny_artifacts as tiny
import tiny_runner

from targets.runner.inputs import InputOptions


@contextlib.contextmanager
def opened(_):
    from camera import Camera

    frame = tiny.frame(48, 64)
    camera = Camera([tiny_runner.jpeg(frame, 95)], fps=60)
    try:
        yield camera.url, InputOptions(), (48, 64), frame
    finally:
        camera.unplug()
