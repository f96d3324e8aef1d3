"""Raw RGB frames on standard input: what ``ffmpeg -f rawvideo -pix_fmt rgb24 -`` writes."""

import contextlib
import os
import select
import sys

import numpy as np

from segfast_edge.errors import DataError
from targets.runner.frames import Broken, Pixels
from targets.runner.inputs import EndOfInputError, Grab, Input, InputOptions

FORM = "- (raw RGB frames on standard input, with --raw WIDTHxHEIGHT)"
_PIPE_BYTES = 1 << 20  # what Linux lets anyone ask for; fewer wake-ups per frame than the usual 64 KiB


def matches(text: str) -> bool:
    """Say whether ``text`` is the dash that stands for standard input."""
    return text == "-"


def open_input(_: str, options: InputOptions) -> "RawFrames":
    """Return the frames on standard input."""
    if options.raw_size is None:
        raise DataError("input '-' has raw frames; say how large with --raw WIDTHxHEIGHT, for example --raw 1280x720")
    if sys.stdin is None:
        raise DataError("input '-' is standard input, which is closed")
    return RawFrames(sys.stdin.fileno(), options)


class RawFrames(Input):
    """Frames of ``raw_size`` read from a file descriptor, one after another without anything between them.

    Standard input was open before; whoever opened it closes it.
    """

    def __init__(self, descriptor: int, options: InputOptions) -> None:
        assert options.raw_size is not None
        self.live = True
        self.camera = True
        self._descriptor = descriptor
        self._size = options.raw_size
        self._buffer = bytearray(self._frame_bytes)
        self._filled = 0
        self._count = 0
        self._wake_read, self._wake_write = os.pipe()
        self._ended = False

    @property
    def _frame_bytes(self) -> int:
        return self._size[0] * self._size[1] * 3

    def connect(self) -> None:
        """Widen the pipe, if it is one."""
        with contextlib.suppress(ImportError, AttributeError, OSError):
            import fcntl

            fcntl.fcntl(self._descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def read(self, wait_s: float, /) -> Grab | None:
        """Return the next whole frame; one cut short by the end of input is a broken frame."""
        while True:
            if self._ended:
                raise EndOfInputError
            ready, _, _ = select.select([self._descriptor, self._wake_read], [], [], wait_s)
            if self._wake_read in ready:
                raise EndOfInputError
            if not ready:
                return None
            got = os.readv(self._descriptor, [memoryview(self._buffer)[self._filled :]])
            self._filled += got
            if got == 0:
                self._ended = True
                if self._filled:
                    return self._grab(Broken(f"input ended after {self._filled} of {self._frame_bytes} bytes"))
            elif self._filled == self._frame_bytes:
                return self._grab(self._pixels())

    def _grab(self, payload: Pixels | Broken) -> Grab:
        self._count += 1
        return Grab(f"{self._count:06d}", payload)

    def _pixels(self) -> Pixels:
        full, self._buffer, self._filled = self._buffer, bytearray(self._frame_bytes), 0
        return Pixels(np.frombuffer(full, np.uint8).reshape(*self._size, 3))

    def interrupt(self) -> None:
        """Wake a waiting read."""
        os.write(self._wake_write, b"x")
