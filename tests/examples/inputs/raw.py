"""Three raw frames in a pipe that stands for standard input."""

import contextlib
import os
import sys

import tiny_artifacts as tiny

from targets.runner.inputs import InputOptions


@contextlib.contextmanager
def opened(_):
    frame, before = tiny.frame(48, 64), sys.stdin
    read_end, write_end = os.pipe()
    os.write(write_end, 3 * frame.tobytes())
    with os.fdopen(read_end) as stdin:
        sys.stdin = stdin
        try:
            yield "-", InputOptions(raw_size=(48, 64)), (48, 64), frame
        finally:
            os.close(write_end)
            sys.stdin = before
